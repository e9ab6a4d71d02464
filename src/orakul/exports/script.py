"""One script's export: all its variants, in threads, into files that appear together when they are whole."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime
from typing import Protocol, Self, TypeAlias

from orakul.exports.plan import Column, Group, Plan, Script
from orakul.exports.result import Failure, Outcome, Progress, ScriptResult, VariantResult, WrittenFile
from orakul.exports.staging import Staging
from orakul.exports.tally import Tally
from orakul.exports.variant import VariantWork, failure_of
from orakul.instruments import span

__all__ = [
    "Cancelled",
    "Failure",
    "OnProgress",
    "Outcome",
    "Progress",
    "ScriptResult",
    "Slots",
    "VariantResult",
    "WrittenFile",
    "export_script",
]

_LOOK = 0.1


class Cancelled(Protocol):
    """What says that the export is to stop: a `threading.Event`, for one."""

    def is_set(self) -> bool:
        """Whether it is to stop."""
        ...


OnProgress: TypeAlias = Callable[[Progress], None]


class Slots(Protocol):
    """How many variants run at the same time: a `threading.BoundedSemaphore`, shared by the scripts of a run."""

    def acquire(self, blocking: bool = ..., timeout: float | None = ...) -> bool:  # noqa: FBT001  # threading's own form
        """Take a slot."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


def export_script(
    plan: Plan,
    group: Group,
    script: Script,
    *,
    columns: Sequence[int] | None = None,
    cancelled: Cancelled | None = None,
    on_progress: OnProgress | None = None,
    slots: Slots | None = None,
) -> ScriptResult:
    """Export one script and say how it ended; it never raises for what a database or a disk does.

    `columns` are ids (mode Custom), None for all. `cancelled` is looked at ten times a second. `on_progress` is called
    a few times a second, from the threads of the export, one call at a time. `slots` bounds the variants of several
    scripts together; left out, this script alone has `plan.output.parallel`.

    Called in one thread a script, it may run any number of times at once. Ctrl-C, where this is the main thread,
    cancels: the outcome is `Cancelled`, and what runs the script has to see to the rest. A script whose variant fails
    stops the others, as its files appear all or not at all.
    """
    start = time.monotonic()
    try:
        chosen = script.chosen(columns) if columns is not None else None
        work = _ScriptWork(plan, group, script, chosen, Tally(len(script.variants), on_progress))
        with work, span("orakul.export.script", group=group.id, script=script.id):
            result = work.run(cancelled or threading.Event(), slots)
    except Exception as error:  # noqa: BLE001  # the disk, mostly, before or after the variants
        result = ScriptResult(outcome=Outcome.FAILED, error=failure_of(error, None, plan))
    spent = round((time.monotonic() - start) * 1000)
    return ScriptResult(**{name: getattr(result, name) for name in result.__struct_fields__} | {"duration_ms": spent})


class _ScriptWork:
    """A script while it is exported."""

    def __init__(
        self, plan: Plan, group: Group, script: Script, columns: tuple[Column, ...] | None, tally: Tally
    ) -> None:
        self._plan = plan
        self._started = datetime.now().astimezone()
        self._staging = Staging(plan, group, script)
        self._stop = threading.Event()
        self._works = [
            VariantWork(
                plan,
                group,
                script,
                variant,
                columns=columns,
                staging=self._staging,
                tally=tally,
                started=self._started,
            )
            for variant in script.variants
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._staging.close()

    def run(self, cancelled: Cancelled, slots: Slots | None) -> ScriptResult:
        at_once = min(len(self._works), self._plan.output.parallel)
        with ThreadPoolExecutor(at_once, thread_name_prefix="orakul-export-variant") as pool:
            running = [pool.submit(copy_context().run, self._one, work, slots) for work in self._works]
            asked = self._watch(running, cancelled)
        return self._result([each.result() for each in running], asked=asked)

    def _one(self, work: VariantWork, slots: Slots | None) -> VariantResult:
        """Run a variant when there is a slot for it."""
        while not self._stop.is_set():
            if slots is None:
                return work.run()
            if slots.acquire(timeout=_LOOK):
                try:
                    if not self._stop.is_set():
                        return work.run()
                finally:
                    slots.release()
        return VariantResult(id=work.variant.id, outcome=Outcome.CANCELLED)

    def _watch(self, running: "list[Future[VariantResult]]", cancelled: Cancelled) -> bool:
        """Wait for the variants; stop all when somebody cancels or one fails. Return whether somebody cancelled."""
        asked = False
        waiting = set(running)
        while waiting:
            try:
                ended, waiting = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
                asked = asked or cancelled.is_set()
            except KeyboardInterrupt:
                asked, ended = True, set()
            failed = any(each.result().outcome is Outcome.FAILED for each in ended)
            if (asked or failed) and not self._stop.is_set():
                self._stop.set()
                for work in self._works:
                    work.stop()
        return asked

    def _result(self, variants: list[VariantResult], *, asked: bool) -> ScriptResult:
        outcomes = {each.outcome for each in variants}
        error = next((each.error for each in variants if each.error is not None), None)
        rows, size = sum(each.rows for each in variants), sum(each.bytes for each in variants)
        if Outcome.FAILED in outcomes or Outcome.CANCELLED in outcomes:
            outcome = Outcome.CANCELLED if asked and Outcome.CANCELLED in outcomes else Outcome.FAILED
            error = error if outcome is Outcome.FAILED else None
            return ScriptResult(outcome=outcome, variants=tuple(variants), error=error)
        parts = [part for work in self._works for part in work.files]
        files, manifest = self._staging.publish(parts, self._started)
        return ScriptResult(
            outcome=Outcome.SUCCESS if rows else Outcome.NO_DATA,
            rows_exported=rows,
            bytes_written=size,
            files=files,
            variants=tuple(variants),
            manifest=manifest,
        )
