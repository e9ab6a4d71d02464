"""From the call to the record: a buffer that callers append to, and a writer that does all the rest.

The caller pays for one small object and one append. A daemon thread makes records of them, joins trees, and tells
those who want to know. Memory is bounded: at most `LIMIT` calls wait to be written, and at most `KEPT` wait for the
operation around them. Past that a caller tells the sinks of its own call itself, so that counts stay exact while the
record of that call is dropped, and counted.
"""

import atexit
import logging
import os
import threading
import time
import traceback as tracebacks
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from orakul.operations.context import OperationContext, ids
from orakul.operations.levels import Spec
from orakul.operations.record import OperationLog, Outcome, SubOperationLog

__all__ = ["Call", "Collector", "Sink", "collector"]

logger = logging.getLogger(__name__)

LIMIT = 100_000
KEPT = 200_000
RUNNING_AFTER = 1.0
TICK = 0.05

monotonic = time.perf_counter_ns


class Call(msgspec.Struct, eq=False, gc=False):
    """One call, as its caller leaves it: the raw facts, nothing formatted."""

    spec: Spec
    trace: int
    span: int
    parent: int
    context: OperationContext | None
    thread: threading.Thread
    start: int
    end: int = 0
    outcome: Outcome = Outcome.SUCCESS
    result: type | None = None
    size: int = -1
    error: BaseException | str | None = None
    facts: dict[str, Any] | None = None
    step: bool = False
    shape: tuple[int, ...] | None = None
    outer: int = 0
    """The span of another tracer that stands between this call and its parent; 0 for none."""
    sampled: bool = True


class Sink(Protocol):
    """Told of finished calls and of finished trees, always from the writer's thread, one at a time."""

    def on_calls(self, calls: list[Call]) -> None:
        """Take the calls that ended since the last time, raw: for counting."""
        ...

    def on_tree(self, log: OperationLog) -> None:
        """Take a whole tree, once its root has ended."""
        ...

    def on_running(self, log: OperationLog) -> None:
        """Take an operation that runs for longer than a second and has not ended."""
        ...


class Collector:
    """The buffer, the writer's thread, and the sinks."""

    def __init__(self) -> None:
        self.buffer: deque[Call] = deque()
        self.running: dict[int, Call] = {}
        self.sinks: list[Sink] = []
        self.dropped = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._writer: threading.Thread | None = None
        self._waiting: dict[int, list[Call]] = {}
        self._waiting_count = 0
        self._told_running: set[int] = set()
        self._epoch = time.time_ns() - monotonic()
        self._drain_lock = threading.RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self.flush)

    def _after_fork(self) -> None:
        # The calls in the buffer are the parent's to write; its writer did not come along.
        self.buffer.clear()
        self.running.clear()
        self._waiting.clear()
        self._waiting_count = 0
        self._writer = None
        self._lock = threading.Lock()
        self._drain_lock = threading.RLock()
        self._wake = threading.Event()

    def wall(self, moment: int) -> int:
        """Return the wall clock's nanoseconds of a moment of the monotonic clock."""
        return self._epoch + moment

    def take(self, call: Call) -> None:
        """Take a call that has ended."""
        if self._writer is None:
            self._start()
        if len(self.buffer) < LIMIT:
            self.buffer.append(call)
        else:
            self.overflow(call)

    def overflow(self, call: Call) -> None:
        """Count a call whose detail is dropped, in the thread of its caller."""
        self._wake.set()
        with self._lock:
            self.dropped += 1
            for sink in self.sinks:
                self._tell(sink.on_calls, [call])

    def _start(self) -> None:
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="orakul-operations", daemon=True)
                self._writer.start()

    def _write(self) -> None:
        me = threading.current_thread()
        while self._writer is me:
            self._wake.wait(TICK)
            self._wake.clear()
            try:
                self._drain()
            except Exception:
                logger.exception("the writer of operations failed; it goes on")

    def flush(self) -> None:
        """Write what has ended so far, now, in this thread."""
        self._drain()

    def _drain(self) -> None:
        with self._drain_lock:
            while self.buffer:
                # Looked at before the buffer is emptied: whoever ends in between is in `running` here, or in the calls.
                coming = set(self.running)
                calls = [self.buffer.popleft() for _ in range(len(self.buffer))]
                with self._lock:
                    for sink in self.sinks:
                        self._tell(sink.on_calls, calls)
                if self.sinks:
                    coming.update(call.span for call in calls)
                    for call in calls:
                        coming.discard(call.span)
                        self._settle(call, coming)
            self._show_running()

    def _settle(self, call: Call, coming: set[int]) -> None:
        """Keep a call until the operation around it ends; one that outlived that is a tree of its own."""
        if call.parent in coming or call.parent in self.running:
            self._waiting.setdefault(call.parent, []).append(call)
            self._waiting_count += 1
            if self._waiting_count > KEPT:
                self._forget_oldest()
            return
        log = self._tree(call)
        for sink in self.sinks:
            self._tell(sink.on_tree, log)

    def _forget_oldest(self) -> None:
        parent = next(iter(self._waiting))
        lost = self._waiting.pop(parent)
        self._waiting_count -= len(lost)
        self.dropped += len(lost)

    def _tree(self, call: Call) -> OperationLog:
        under = self._waiting.pop(call.span, [])
        self._waiting_count -= len(under)
        self._told_running.discard(call.span)
        children: list[OperationLog | SubOperationLog] = []
        for each in sorted(under, key=lambda one: one.start):
            log = self._sub(each) if each.step else self._tree(each)
            last = children[-1] if children else None
            if isinstance(log, SubOperationLog) and isinstance(last, SubOperationLog) and _alike(last, log):
                children[-1] = msgspec.structs.replace(
                    last, count=last.count + 1, duration_ns=last.duration_ns + log.duration_ns
                )
            else:
                children.append(log)
        return OperationLog(level=int(call.spec.level), children=children, **self._facts(call))

    def _sub(self, call: Call) -> SubOperationLog:
        return SubOperationLog(**self._facts(call))

    def _facts(self, call: Call) -> dict[str, Any]:
        error, message, text = call.error, None, None
        if isinstance(error, BaseException):
            message = _text_of(error)
            text = "".join(tracebacks.format_exception(error))[-16_000:]
        elif error is not None:
            message = error
        facts = dict(call.facts) if call.facts else {}
        target = facts.pop("target", None)
        shape = list(call.shape) if call.shape is not None else [call.size] if call.size >= 0 else None
        return {
            "operation_id": f"{call.span:016x}",
            "root_id": ids.trace(call.trace),
            "parent_id": f"{call.parent:016x}" if call.parent else None,
            "name": call.spec.name,
            "outcome": call.outcome if call.end else Outcome.RUNNING,
            "started_at": datetime.fromtimestamp(self.wall(call.start) / 1e9, UTC),
            "duration_ns": (call.end or monotonic()) - call.start,
            "target": None if target is None else str(target),
            "result_type": call.result.__qualname__ if call.result is not None else None,
            "result_shape": shape,
            "error_type": type(error).__qualname__ if isinstance(error, BaseException) else None,
            "error_message": message,
            "traceback": text,
            "file": call.spec.file,
            "line": call.spec.line,
            "thread_id": call.thread.ident or 0,
            "thread_name": call.thread.name,
            "process_id": os.getpid(),
            "context": dict(call.context.facts) if call.context is not None else {},
            "facts": facts,
        }

    def _show_running(self) -> None:
        if not self.sinks or not self.running:
            return
        before = monotonic() - int(RUNNING_AFTER * 1e9)
        for span, call in list(self.running.items()):
            if call.start < before and span not in self._told_running and not call.end:
                self._told_running.add(span)
                log = OperationLog(level=int(call.spec.level), **self._facts(call))
                for sink in self.sinks:
                    self._tell(sink.on_running, log)

    def _tell(self, method: Callable[[Any], None], what: Any) -> None:
        try:
            method(what)
        except Exception:
            logger.exception("%s failed; the others are told all the same", getattr(method, "__qualname__", method))


def _alike(one: SubOperationLog, other: SubOperationLog) -> bool:
    return (
        one.name == other.name
        and one.target == other.target
        and one.outcome == other.outcome
        and one.error_message == other.error_message
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (an exception's own __str__ may raise anything)
        return f"<{type(error).__qualname__} that cannot be shown>"


collector = Collector()
