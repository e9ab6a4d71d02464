"""From entries of the feed to the bytes of Server-Sent Events. Each entry is encoded once, whoever reads it."""

import logging
import random
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from orakul.events import Event
from orakul.tasks.feed import Entry
from orakul.tasks.reader import Summary
from orakul.tasks.task import Task, TaskError
from orakul.web.views import task_item

__all__ = [
    "Framed",
    "Parcel",
    "frame_entry",
    "heartbeat",
    "hello",
    "live_frame",
    "metrics_frame",
    "reset_frame",
]

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()

# A frame above this size is sent without its bulky parts: the page reads them over REST when somebody looks.
LARGEST_FRAME = 64 * 1024
_SHORTENED = 2_000


class Framed(msgspec.Struct, frozen=True):
    """An entry as the stream handles it: where it stands, who may see it, and its bytes."""

    seq: int
    kind: str
    owner: str | None
    task_id: str | None
    frame: bytes
    counts: bool
    """Whether the entry may change the header's figures."""


class Parcel(NamedTuple):
    """What goes out in one write: the bytes, and the same as one chunk of HTTP/1.1."""

    body: bytes
    chunk: bytes

    @classmethod
    def of(cls, body: bytes) -> "Parcel":
        """Wrap the bytes."""
        return cls(body, b"%x\r\n%b\r\n" % (len(body), body))


def _block(kind: str, data: bytes, seq: int | None = None) -> bytes:
    head = b"" if seq is None else b"id: %d\n" % seq
    # JSON has no line breaks of its own, so one `data:` line holds it whatever the text says.
    return b"%bevent: %b\ndata: %b\n\n" % (head, kind.encode(), data)


def _task_data(entry: Entry, task: Task, *, short: bool = False) -> bytes:
    event = entry.event
    if short:
        error = task.error and TaskError(type=task.error.type[:200], message=task.error.message[:_SHORTENED] + " …")
        task = msgspec.structs.replace(task, progress=None, name=task.name[:_SHORTENED], error=error)
    told = {
        "seq": entry.seq,
        "event_type": event.event_type if event else f"task.{task.status.value}",
        "new_status": task.status,
        "timestamp": (event.timestamp if event else task.updated_at).astimezone(UTC),
    }
    # The list form as it is, and what the event adds to it, as one object.
    return _encoder.encode(task_item(task))[:-1] + b"," + _encoder.encode(told)[1:]


def _event_data(seq: int, event: Event, *, short: bool = False) -> bytes:
    form = event.to_dict()
    if short:
        form = {name: form[name] for name in ("event_id", "event_type", "user_id", "timestamp")}
        form["data"] = {"truncated": True}
        form["task_id"] = event.task_id
    return _encoder.encode({"seq": seq, **form})


def _data(entry: Entry, *, short: bool) -> bytes:
    if entry.task is not None and entry.kind == "task":
        return _task_data(entry, entry.task, short=short)
    if entry.log is not None and entry.kind == "log":
        line = entry.log
        if short:
            line = msgspec.structs.replace(line, message=line.message[: LARGEST_FRAME // 8] + " …")
        return _encoder.encode(line)
    if entry.event is not None:
        return _event_data(entry.seq, entry.event, short=short)
    return _encoder.encode({"seq": entry.seq})


def frame_entry(entry: Entry) -> Framed:
    """Encode an entry. One that cannot be encoded whole goes out short, so that it never stops the others."""
    try:
        data = _data(entry, short=False)
        if len(data) > LARGEST_FRAME:
            data = _data(entry, short=True)
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError):
        _log.exception("entry %d of the feed could not be encoded for the stream", entry.seq)
        data = _encoder.encode({"seq": entry.seq, "truncated": True})
    subject = entry.log or entry.task or entry.event
    counts = entry.kind == "task" or bool(entry.event and entry.event.event_type.startswith("queue."))
    return Framed(
        seq=entry.seq,
        kind=entry.kind,
        owner=entry.owner,
        task_id=subject.task_id if subject else None,
        frame=_block(entry.kind, data, entry.seq),
        counts=counts,
    )


def metrics_frame(summary: Summary) -> bytes:
    """Return the frame with the header's figures; it has no id, since it is no event of the journal."""
    return _block("metrics", _encoder.encode(summary))


def live_frame(*, live: bool, since: datetime | None) -> bytes:
    """Return the frame that tells the page whether the journal can be followed, and since when not."""
    return _block("live", _encoder.encode({"live": live, "since": since.astimezone(UTC) if since else None}))


def reset_frame(reason: str, position: int) -> bytes:
    """Return the frame after which the page must read anew; from `position` on it is live again."""
    return _block("reset", _encoder.encode({"reason": reason, "seq": position}), position)


def hello(position: int | None) -> bytes:
    """Return the opening: the pause before a reconnect, spread so that not all come at once, and the position."""
    opening = b": orakul\nretry: %d\n" % random.randint(1_000, 3_000)  # noqa: S311 (spreads load, guards nothing)
    return opening + (b"\n" if position is None else b"id: %d\n\n" % position)


def heartbeat(position: int | None) -> bytes:
    """Return a sign of life. With a position, it also moves `Last-Event-ID` on, though no event is dispatched.

    So the reader of a quiet stream, whose own events are rare, comes back from near the end of the journal.
    """
    return b": \n\n" if position is None else b": \nid: %d\n\n" % position
