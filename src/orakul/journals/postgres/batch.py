"""A batch of events made ready for the database: sorted by what becomes of them, folded into drafts of tasks.

All that can be done before the journal's lock is done here, in the recorder's process: the values are checked, made
storable and bounded, and the events of one task become one draft, so that the database merges one row a task.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from itertools import repeat
from typing import Any

import msgspec

from orakul.events import Event
from orakul.journals.postgres.arrays import BigintArray, BooleanArray, JsonArray, TextArray, TimeArray
from orakul.journals.postgres.fresh import Fresh
from orakul.tasks.projection import Draft, attempt_and_run, in_utc, touches
from orakul.tasks.status import FINAL
from orakul.tasks.storable import json_text, key_text, long_text, short_text

__all__ = ["ALL_QUEUES", "Batch"]

ALL_QUEUES = "*"
"""The queue of a pause that names none."""

_DATA_BYTES = 1_048_576
_EXTRA_BYTES = 65_536
_MESSAGE_CHARS = 65_536
_GRACE_SECONDS = 10.0
_WORTH_COPYING = 50
"""Events from which on a batch is worth the few more round trips of the short way."""
_INT = (1 << 31) - 1
_FINAL = frozenset(status.value for status in FINAL)
_EVENT_COLUMNS = (
    *(TextArray, TimeArray, TextArray, TextArray, TextArray, BooleanArray, TextArray, TextArray),
    *(JsonArray, JsonArray, BigintArray, BigintArray, TextArray, TextArray),
)
_LOG_COLUMNS = (TextArray, TimeArray, TextArray, BigintArray, TextArray, TextArray, TextArray)
_TASK_COLUMNS = (
    *(TextArray, TimeArray, TimeArray, TimeArray, TimeArray, TimeArray),
    *(BigintArray, BigintArray, BigintArray, BigintArray, BigintArray, TimeArray, BigintArray, BigintArray),
    *repeat(TextArray, 17),
    *(JsonArray, JsonArray, JsonArray),
)


class Batch:
    """Events sorted into the rows that they become. `parameters()` is what `orakul.append` is called with."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events: list[tuple[Any, ...]] = []
        self._logs: list[tuple[Any, ...]] = []
        self._drafts: dict[str, Draft] = {}
        self._others: dict[str, dict[Any, dict[str, Any]]] = {}
        self.size = 0
        """What the large values come to, in characters."""
        self._looks_fresh = True
        for event in events:
            self._take(in_utc(event))

    def _take(self, event: Event) -> None:
        match event.event_type:
            case "task.log" if event.task_id is not None:
                self._take_log(event)
            case "task.message" if event.task_id is not None:
                self._take_message(event)
            case "worker.heartbeat":
                self._take_worker(event)
            case "worker.online" | "worker.offline":
                self._take_worker(event)
                self._take_event(event)
            case "queue.paused" | "queue.resumed":
                self._take_pause(event)
                self._take_event(event)
            case "task.cancel_requested" if event.task_id is not None:
                self._take_cancellation(event)
                self._take_event(event)
            case _:
                self._take_event(event)

    def _take_event(self, event: Event) -> None:
        task_id = key_text(event.task_id)
        era = rank = status = notice = None
        if task_id is not None and touches(event):
            draft = self._drafts.get(task_id)
            if draft is None:
                draft = self._drafts[task_id] = Draft(task_id)
                self._looks_fresh = self._looks_fresh and _looks_first(event)
            if draft.hear(event) and draft.state is not None:
                era, rank, status = draft.state.era, draft.state.rank, draft.state.status
                told = {"task_id": task_id, "new_status": status, "timestamp": _iso(event.timestamp)}
                notice = ", " + msgspec.json.encode(told)[1:].decode()
        user, data = event.user_id, json_text(event.data, _DATA_BYTES, ordered=False)
        self.size += len(data)
        self._events.append(
            (
                key_text(event.event_id) or "",
                event.timestamp,
                key_text(event.event_type) or "",
                task_id,
                None if user is None else key_text(user),
                isinstance(user, int),
                short_text(event.trace_id),
                short_text(event.source),
                data,
                json_text(event.extra, _EXTRA_BYTES, ordered=False) if event.extra else None,
                era,
                rank,
                status,
                notice,
            )
        )

    def _take_log(self, event: Event) -> None:
        data = event.data
        self._logs.append(
            (
                key_text(event.event_id) or "",
                event.timestamp,
                key_text(event.task_id) or "",
                attempt_and_run(data)[0],
                short_text(data.get("level"), 40) or "INFO",
                short_text(data.get("logger")) or "",
                long_text(data.get("message"), _MESSAGE_CHARS) or "",
            )
        )

    def _take_message(self, event: Event) -> None:
        sealed = event.data.get("sealed")
        try:
            base64.b64decode(sealed, validate=True)  # type: ignore[arg-type]  # what is no text raises as well
        except (TypeError, ValueError, binascii.Error):
            self._take_event(event)  # not what it says it is: kept as it came, among the events
            return
        form = {
            "task_id": key_text(event.task_id),
            "attempt": attempt_and_run(event.data)[0],
            "timestamp": _iso(event.timestamp),
            "sealed": str(sealed),
        }
        self.size += len(str(sealed))
        self._keep("messages", form["task_id"], form, ("attempt", "timestamp"))

    def _take_worker(self, event: Event) -> None:
        data = event.data
        worker = key_text(data.get("worker"))
        if worker is None:
            return
        concurrency, queues = data.get("concurrency"), data.get("queues")
        named = ("worker", "kind", "pool", "concurrency", "queues")
        facts = {name: value for name, value in data.items() if name not in named}
        form = {
            "worker": worker,
            "kind": short_text(data.get("kind")),
            "status": "offline" if event.event_type == "worker.offline" else "online",
            "started_at": _iso(event.timestamp) if event.event_type == "worker.online" else None,
            "last_seen": _iso(event.timestamp),
            "event_id": key_text(event.event_id) or "",
            "pool": short_text(data.get("pool")),
            "concurrency": concurrency if type(concurrency) is int and 0 <= concurrency <= _INT else None,
            "queues": [short_text(queue) for queue in queues] if isinstance(queues, list | tuple) else None,
            "facts": msgspec.json.decode(json_text(facts, _EXTRA_BYTES)) if facts else None,
        }
        known = self._others.get("workers", {}).get(worker)
        self._keep("workers", worker, form, ("last_seen", "event_id"))
        if known is not None:
            kept = self._others["workers"][worker]
            lesser = form if kept is known else known
            for name, value in lesser.items():
                if kept[name] is None or (name == "started_at" and value is not None and value > kept[name]):
                    kept[name] = value

    def _take_pause(self, event: Event) -> None:
        form = {
            "queue": key_text(event.data.get("queue")) or ALL_QUEUES,
            "paused": event.event_type == "queue.paused",
            "timestamp": _iso(event.timestamp),
            "event_id": key_text(event.event_id) or "",
            "author": None if event.user_id is None else key_text(event.user_id),
            "reason": long_text(event.data.get("reason"), 1_000),
        }
        self._keep("queues", form["queue"], form, ("timestamp", "event_id"))

    def _take_cancellation(self, event: Event) -> None:
        data = event.data
        grace = data.get("grace_seconds", _GRACE_SECONDS)
        form = {
            "task_id": key_text(event.task_id),
            "attempt": attempt_and_run(data)[0] if "attempt" in data else None,
            "requested_at": _iso(event.timestamp),
            "event_id": key_text(event.event_id) or "",
            "author": None if event.user_id is None else key_text(event.user_id),
            "grace_seconds": float(grace) if isinstance(grace, int | float) and 0 <= grace <= _INT else _GRACE_SECONDS,
        }
        self._keep("cancellations", form["task_id"], form, ("requested_at", "event_id"))

    def _keep(self, kind: str, key: Any, form: dict[str, Any], order: tuple[str, ...]) -> None:
        kept = self._others.setdefault(kind, {})
        known = kept.get(key)
        if known is None or [known[name] for name in order] < [form[name] for name in order]:
            kept[key] = form

    def parameters(self) -> list[Any]:
        """Return the arguments of `orakul.append`, in its order."""
        drafts = [_row(draft) for draft in self._drafts.values() if draft.state is not None]
        return [
            *_columns(_EVENT_COLUMNS, self._events),
            *_columns(_LOG_COLUMNS, self._logs),
            *_columns(_TASK_COLUMNS, drafts),
            self._other_forms(),
        ]

    @property
    def looks_fresh(self) -> bool:
        """Whether its tasks look new, and there are enough to make the short way worth its round trips."""
        return self._looks_fresh and len(self._events) >= _WORTH_COPYING

    def fresh(self) -> Fresh:
        """Return the batch made ready for the short way."""
        drafts = [draft for draft in self._drafts.values() if draft.state is not None]
        return Fresh(self._events, self._logs, drafts, [_row(draft) for draft in drafts], self._other_forms())

    def _other_forms(self) -> str | None:
        others = {kind: list(forms.values()) for kind, forms in self._others.items()}
        return json_text(others, 1 << 30) if others else None


def _looks_first(event: Event) -> bool:
    """Say whether the event looks like the first that is told of its task."""
    return event.event_type == "task.pending" or "started_at" in event.data


def _row(draft: Draft) -> tuple[Any, ...]:
    state, progress = draft.state, draft.progress or (None, None, None, None)
    assert state is not None  # noqa: S101 (a draft that has heard an event has a state)
    return (
        draft.task_id,
        draft.created_at,
        draft.started_at,
        state.timestamp if state.status in _FINAL else None,
        state.timestamp,
        draft.eta,
        state.era,
        draft.name_era,
        draft.queue_era,
        draft.worker_era,
        progress[0],
        progress[1],
        draft.priority,
        state.rank,
        state.event_id,
        state.status,
        draft.kind,
        draft.name,
        draft.user_id,
        draft.queue,
        draft.worker,
        draft.parent_id,
        draft.root_id,
        draft.group_id,
        draft.trace_id,
        state.outcome,
        state.error_type,
        state.error_message,
        state.error_place,
        state.error_traceback,
        progress[2],
        progress[3],
        draft.arguments,
        state.result,
    )


def _columns(kinds: Sequence[type], rows: list[tuple[Any, ...]]) -> list[Any]:
    if not rows:
        return [kind(()) for kind in kinds]
    return [kind(column) for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)]


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")[:26] + "Z"
