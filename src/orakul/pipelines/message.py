"""What a pipeline says when it ends (TDTP), read as it comes: nothing that a producer may send is a crash.

The form is that of the TDTP framework: `pipeline_name`, `result_name`, `status`, `started_at`, `finished_at`,
`duration_ms`, `rows_loaded`, `rows_exported` and, after a failure, `error`. What is missing is left open, what is odd
is kept and told (`PipelineRun.oddities`), and what is more is kept in `extra`.
"""

import math
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from orakul.errors import InvalidEventError
from orakul.events.trace import read_trace

__all__ = ["CHANNEL", "STATE", "PipelineRun", "Verdict", "read_message", "result_name_of"]

CHANNEL = "tdtp:pipeline:"
"""What the names of channels and state keys begin with."""
STATE = ":state"
"""What the names of state keys end with."""

Verdict = Literal["success", "failed", "with_errors", "running"]

_SUCCESS = frozenset(("success", "succeeded", "successful", "completed", "complete", "ok", "done", "finished"))
_FAILED = frozenset(("failed", "failure", "error", "fatal", "aborted", "cancelled", "canceled", "timeout", "crashed"))
_RUNNING = frozenset(("running", "started", "starting", "in_progress", "pending", "queued", "processing"))
_KNOWN = frozenset(
    (
        *("pipeline_name", "result_name", "status", "started_at", "finished_at", "duration_ms"),
        *("rows_loaded", "rows_exported", "error"),
    )
)
_TEXT = 4_000
_LARGEST = 2.0**53
_LONGEST_MS = 10 * 365 * 86_400_000
_MILLISECONDS = 1e11  # an epoch number beyond this many seconds (the year 5138) counts milliseconds


class PipelineRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a pipeline, as told. Times are aware, UTC; durations milliseconds; None is what was not said."""

    result_name: str
    pipeline_name: str
    status: str
    """The producer's own word."""
    verdict: Verdict
    """`with_errors`: it ended, neither well nor in vain; also whatever word we do not know."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: float | None = None
    rows_loaded: int | None = None
    rows_exported: int | None = None
    error: str | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    oddities: tuple[str, ...] = ()
    """What was missing or not as it should be, for people."""

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.verdict != "running"

    @property
    def lost(self) -> int | None:
        """How many of the rows loaded were not exported; negative where more came out than went in."""
        if self.rows_loaded is None or self.rows_exported is None:
            return None
        return self.rows_loaded - self.rows_exported

    @property
    def trace_id(self) -> str | None:
        """The trace that the run is part of, where its message brings a `trace_id` or a `traceparent`."""
        return read_trace(self.extra.get("trace_id")) or read_trace(self.extra.get("traceparent"))

    def ids(self) -> tuple[str, str, str]:
        """Return the ids of the run's task and of the events of its start and its end.

        They are made of what the message says, so the same run told twice, by publish and by its state key, is one.
        They begin with its time, as those of UUIDv7 do: what comes in together lies together in the journal's indexes.
        """
        told: list[Any] = [self.result_name, self.pipeline_name, self.started_at]
        moment = self.started_at
        if self.ended:
            told += [self.finished_at, self.duration_ms, self.rows_loaded, self.rows_exported, self.status, self.error]
            moment = self.finished_at or moment
        digest = blake2b(msgspec.json.encode(told), digest_size=30).hexdigest()
        millis = 0 if moment is None else max(0, int(moment.timestamp() * 1000))
        start = f"{millis >> 16:08x}-{millis & 0xFFFF:04x}"
        return _uuid(start, digest[:20]), _uuid(start, digest[20:40]), _uuid(start, digest[40:])


def _uuid(start: str, h: str) -> str:
    """Return 20 hexadecimal digits after the 12 of the time as a UUID of our own make (version 8)."""
    return f"{start}-8{h[1:4]}-8{h[5:8]}-{h[8:]}"


def result_name_of(channel: str) -> str:
    """Return the name of the result that a channel or a state key is about."""
    return channel.removeprefix(CHANNEL).removesuffix(STATE)


def read_message(raw: bytes | str, channel: str) -> PipelineRun:
    """Read a message of a channel, or the value of a state key; InvalidEventError, with why, where it is no message."""
    try:
        form = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEventError(f"not JSON: {error}") from error
    if not isinstance(form, dict):
        raise InvalidEventError(f"a message is an object, not {type(form).__name__}")
    reading = _Reading(form)
    started, finished = reading.moment("started_at"), reading.moment("finished_at")
    duration = reading.duration()
    if duration is None and started is not None and finished is not None:
        duration = (finished - started) / timedelta(milliseconds=1)
    if finished is None and started is not None and duration is not None:
        finished = _moved(started, duration)
    if started is None and finished is not None and duration is not None:
        started = _moved(finished, -duration)
    failure = reading.text("error", wanted=False)
    status = reading.text("status") or "unknown"
    return PipelineRun(
        result_name=reading.text("result_name") or result_name_of(channel),
        pipeline_name=reading.text("pipeline_name") or result_name_of(channel),
        status=status,
        verdict=_verdict(status, finished, failure),
        started_at=started,
        finished_at=finished,
        duration_ms=duration,
        rows_loaded=reading.rows("rows_loaded"),
        rows_exported=reading.rows("rows_exported"),
        error=failure,
        extra={name: value for name, value in form.items() if name not in _KNOWN},
        oddities=tuple(reading.oddities),
    )


def _verdict(status: str, finished: datetime | None, error: str | None) -> Verdict:
    word = status.strip().lower().replace(" ", "_").replace("-", "_")
    if word in _SUCCESS:
        return "with_errors" if error else "success"
    if word in _FAILED:
        return "failed"
    if word in _RUNNING and finished is None:
        return "running"
    return "with_errors"


def _moved(moment: datetime, milliseconds: float) -> datetime | None:
    try:
        return moment + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


class _Reading:
    """A message's fields, each read as far as it can be; what cannot is noted."""

    def __init__(self, form: dict[str, Any]) -> None:
        self._form = form
        self.oddities: list[str] = []

    def text(self, name: str, *, wanted: bool = True) -> str | None:
        value = self._form.get(name)
        if value is None or value == "":
            if wanted:
                self.oddities.append(f"no {name}")
            return None
        return (value if isinstance(value, str) else msgspec.json.encode(value).decode())[:_TEXT]

    def moment(self, name: str) -> datetime | None:
        value = self._form.get(name)
        if value is None or value == "":
            self.oddities.append(f"no {name}")
            return None
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return datetime.fromtimestamp(value / 1000 if abs(value) > _MILLISECONDS else value, UTC)
            moment = datetime.fromisoformat(value)  # cuts nanoseconds
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            self.oddities.append(f"{name} is no time: {value!r:.60}")
            return None

    def duration(self) -> float | None:
        value = self._number("duration_ms")
        if value is not None and not 0 <= value <= _LONGEST_MS:
            self.oddities.append(f"duration_ms is no duration: {value:g}")
            return None
        return value

    def rows(self, name: str) -> int | None:
        value = self._number(name)
        return None if value is None else int(value)

    def _number(self, name: str) -> float | None:
        value = self._form.get(name)
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not abs(number) < _LARGEST:  # a NaN is not, either
            self.oddities.append(f"{name} is no number: {value!r:.60}")
            return None
        return number
