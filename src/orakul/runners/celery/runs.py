"""The task runs of this process: what runs now, for whom, and what is known of it."""

from contextvars import ContextVar, Token
from typing import Any

__all__ = ["Run", "current_run", "running"]


class Run:
    """One execution of a task in this process, from `task_prerun` to `task_postrun`.

    `cancel_requested` is set (to the author) by whoever asks the task to stop: then, however the run ends but by a
    result, it is recorded as cancelled.
    """

    __slots__ = (
        "attempt",
        "cancel_requested",
        "characters",
        "ended",
        "flow",
        "followed",
        "lines",
        "name",
        "request",
        "run",
        "secrets",
        "task",
        "task_id",
        "token",
        "trace_id",
        "user",
        "user_token",
    )

    def __init__(self, task_id: str, name: str, era: tuple[int, int], user: str | None, task: Any) -> None:
        self.task_id = task_id
        self.name = name
        self.attempt, self.run = era
        self.user = user
        self.task = task
        self.request: Any = None
        self.trace_id: str | None = None
        self.cancel_requested: str | None = None
        self.ended = False
        self.followed = False  # a next attempt of it was published: a retry, or what replaces it
        self.secrets: tuple[str, ...] | None = None  # worked out when first needed
        self.lines = 0
        self.characters = 0
        self.token: Token[Run | None] | None = None
        self.user_token: Token[str | None] | None = None
        self.flow: Any = None


running: dict[str, Run] = {}
"""What runs in this process now, by task id."""

_current: ContextVar[Run | None] = ContextVar("orakul_run", default=None)

current_run = _current.get
"""Return the run that the caller is part of, or None."""


def enter(run: Run) -> None:
    """Make the run the current one."""
    running[run.task_id] = run
    run.token = _current.set(run)


def leave(run: Run) -> None:
    """Make what was current before it current again."""
    if running.get(run.task_id) is run:
        del running[run.task_id]
    if run.token is not None:
        try:
            _current.reset(run.token)
        except ValueError:  # ended in another context than it began in, as some pools do
            _current.set(None)
        run.token = None
