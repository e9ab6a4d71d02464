"""Tasks of the journal, read as records of operations, so that the analyzer works over them too."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Protocol

from orakul.operations.record import OperationLog, Outcome

__all__ = ["trees"]

_OUTCOMES = {"completed": Outcome.SUCCESS, "failed": Outcome.ERROR, "cancelled": Outcome.CANCELLED}


class _Error(Protocol):
    @property
    def type(self) -> str: ...
    @property
    def message(self) -> str: ...


class _Task(Protocol):
    """What is read of `orakul.tasks.Task`; the two packages do not know each other."""

    @property
    def task_id(self) -> str: ...
    @property
    def root_id(self) -> str | None: ...
    @property
    def parent_id(self) -> str | None: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def status(self) -> Any: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def finished_at(self) -> datetime | None: ...
    @property
    def error(self) -> _Error | None: ...


def trees(tasks: Iterable[_Task]) -> Iterator[OperationLog]:
    """Join ended tasks into trees, as far as parents are among them."""
    logs = {task.task_id: _log(task) for task in tasks if task.finished_at is not None}
    roots = []
    for log in logs.values():
        parent = logs.get(log.parent_id or "")
        # One that ends after its parent (the next of a chain, a member of a group) takes none of its parent's time.
        if parent is not None and parent is not log and parent.started_at <= log.started_at and _within(log, parent):
            parent.children.append(log)
        else:
            roots.append(log)
    yield from roots


def _log(task: _Task) -> OperationLog:
    begin = task.started_at or task.created_at
    end = task.finished_at or begin
    return OperationLog(
        operation_id=task.task_id,
        root_id=task.root_id or task.task_id,
        parent_id=task.parent_id,
        name=task.name or task.kind,
        outcome=_OUTCOMES[task.status],
        started_at=begin,
        duration_ns=max(0, round((end - begin).total_seconds() * 1e9)),
        error_type=task.error.type if task.error else None,
        error_message=task.error.message if task.error else None,
    )


def _within(log: OperationLog, parent: OperationLog) -> bool:
    return log.ended_at <= parent.ended_at + timedelta(milliseconds=1)
