"""What Orakul's own parts tell of themselves: counters, gauges, histograms and spans, and no product's name.

    _APPENDED = counter("orakul_journal_events_total", "Events that the journal took in.")
    _TOOK = histogram("orakul_journal_append_seconds", "Time to append a batch.", SECONDS)

    with span("orakul.journal.append", events=len(events)), _TOOK.time():
        ...
    _APPENDED.add(len(events))

An instrument is made once a process, by its name: whoever makes it again gets the same one. Names are Prometheus's: a
unit at the end, `_total` where it only grows. Counting costs a fraction of a microsecond, loses nothing between
threads, and a forked child begins at zero. A part that has counted already hands over how to read it (`read=`), which
is asked at a collection alone; where that is a method it is held weakly, so the part may go when it likes, and what a
counter had counted when it was last looked at stays. Several parts that read into one name are added up.

Each label tells a bounded number of values apart; those beyond are counted together as `(other)`.

What is told goes out through `collect()` (see `telemetry.prometheus`), and spans through whatever tracer was set.
"""

import os
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

__all__ = [
    "BYTES",
    "COUNTS",
    "OTHER",
    "SECONDS",
    "Counter",
    "Distribution",
    "Gauge",
    "Histogram",
    "Snapshot",
    "collect",
    "counter",
    "expect_collection",
    "gauge",
    "histogram",
    "is_collected",
    "set_tracer",
    "span",
]

OTHER: Final = "(other)"
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Bounds for what takes milliseconds and may take long."""

COUNTS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0)
"""Bounds for sizes of batches."""

BYTES: Final = (256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0)

_LONGEST = 120
"""Characters of a label's value."""

Labels: TypeAlias = tuple[str, ...]
Reading: TypeAlias = "float | Mapping[Labels, float] | Mapping[str, float] | None"
Read: TypeAlias = Callable[[], Reading]
Merge: TypeAlias = Literal["sum", "max"]


class Distribution(NamedTuple):
    """What a histogram counted: how many observations up to each bound (and beyond, last), and their sum."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Snapshot(NamedTuple):
    """An instrument as it stood: its samples by the values of its labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    said: str
    unit: str
    labels: Labels
    samples: Mapping[Labels, "float | Distribution"]


class _Instrument:
    """What all have: a name, a sentence, and labels whose values are bounded."""

    def __init__(self, name: str, said: str, labels: Sequence[str] = (), most: int = 100) -> None:
        self.name, self.said, self.labels = name, said, tuple(labels)
        self._most = most
        self._fresh()

    def _fresh(self) -> None:
        """Begin at zero, with a lock of its own: a forked child's copy may be held by a thread that it lacks."""
        # Reentrant: a handler of a signal may count in the midst of counting.
        self._lock = threading.RLock()
        self._known: tuple[set[str], ...] = tuple(set() for _ in self.labels)

    def _key(self, values: Sequence[Any]) -> Labels:
        """Return the values as they are counted: as text, not too long, not too many."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {len(values)} of them")
        return tuple(
            self._bounded(str(value)[:_LONGEST], known) for value, known in zip(values, self._known, strict=True)
        )

    def _bounded(self, value: str, known: set[str]) -> str:
        if value in known:
            return value
        if len(known) >= self._most:
            return OTHER
        known.add(value)
        return value


class _Source:
    """A part that is asked for its figures: a method is held weakly."""

    def __init__(self, read: Read) -> None:
        self.held: Callable[[], Read | None] = weakref.WeakMethod(read) if hasattr(read, "__self__") else lambda: read
        self.last: dict[Labels, float] = {}


class _Read(_Instrument):
    """What reads its figures from parts, beside what it may count itself."""

    def _fresh(self) -> None:
        super()._fresh()
        self._sources = [_Source(read) for each in getattr(self, "_sources", ()) if (read := each.held()) is not None]

    def ask(self, read: Read) -> None:
        """Ask this part too, from now on."""
        with self._lock:
            for source in self._sources:
                if source.held() is None:
                    self._part(source)
            self._sources = [
                source for source in self._sources if (known := source.held()) is not None and known != read
            ]
            self._sources.append(_Source(read))

    def _part(self, gone: _Source) -> None:
        """Keep what a part had said last, if anything is to be kept."""

    def _readings(self) -> list[dict[Labels, float]]:
        """Return what each part says now. Without our lock: a part may take one of its own, and count under that."""
        with self._lock:
            sources = list(self._sources)
        readings = []
        for source in sources:
            read = source.held()
            said = None if read is None else read()
            with self._lock:
                if read is not None:
                    source.last = self._told(said)
                    readings.append(source.last)
                elif source in self._sources:
                    self._sources.remove(source)
                    self._part(source)
        return readings

    def _told(self, said: Reading) -> dict[Labels, float]:
        told: dict[Labels, float] = {}
        for values, figure in (said if isinstance(said, Mapping) else {} if said is None else {(): said}).items():
            _merge(told, {self._key((values,) if isinstance(values, str) else values): figure})
        return told


class Counter(_Read):
    """Something that only grows."""

    kind: Final = "counter"

    def _fresh(self) -> None:
        super()._fresh()
        self._values: dict[tuple[Any, ...], float] = {} if self.labels else {(): 0}

    def add(self, n: float = 1, *values: str) -> None:
        """Count, under these values of the labels."""
        with self._lock:
            try:
                self._values[values] += n
            except KeyError:
                key = self._key(values)
                self._values[key] = self._values.get(key, 0) + n

    def snapshot(self) -> Snapshot:
        """Return how it stands."""
        readings = self._readings()
        with self._lock:
            samples: dict[Labels, float] = dict(self._values)
        for reading in readings:
            _merge(samples, reading)
        return Snapshot(self.name, self.kind, self.said, _unit(self.name), self.labels, samples)

    def _part(self, gone: _Source) -> None:
        _merge(self._values, gone.last)


class Gauge(_Read):
    """Something that rises and falls: read from those who know it."""

    kind: Final = "gauge"

    def __init__(self, name: str, said: str, labels: Sequence[str] = (), most: int = 100, merge: Merge = "sum") -> None:
        self._merge: Merge = merge
        super().__init__(name, said, labels, most)

    def snapshot(self) -> Snapshot:
        """Return how it stands; without samples where nobody knows."""
        samples: dict[Labels, float] = {}
        for reading in self._readings():
            _merge(samples, reading, self._merge)
        return Snapshot(self.name, self.kind, self.said, _unit(self.name), self.labels, samples)


class Histogram(_Instrument):
    """How large the single ones were."""

    kind: Final = "histogram"

    def __init__(self, name: str, said: str, buckets: Sequence[float], unit: str, labels: Sequence[str]) -> None:
        self.bounds = tuple(sorted(set(buckets)))
        self.unit = unit or _unit(name)
        super().__init__(name, said, labels)

    def _fresh(self) -> None:
        super()._fresh()
        self._series: dict[tuple[Any, ...], list[Any]] = {}  # the sum last
        if not self.labels:
            self._series[()] = self._empty()

    def _empty(self) -> list[Any]:
        return [*([0] * (len(self.bounds) + 1)), 0.0]

    def observe(self, value: float, *values: str) -> None:
        """Count an observation, under these values of the labels."""
        place = bisect_left(self.bounds, value)
        with self._lock:
            try:
                series = self._series[values]
            except KeyError:
                series = self._series.setdefault(self._key(values), self._empty())
            series[place] += 1
            series[-1] += value

    @contextmanager
    def time(self, *values: str) -> Iterator[None]:
        """Observe the seconds that the block takes, however it ends."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - began, *values)

    def snapshot(self) -> Snapshot:
        """Return how it stands."""
        with self._lock:
            samples = {
                key: Distribution(self.bounds, tuple(series[:-1]), series[-1]) for key, series in self._series.items()
            }
        return Snapshot(self.name, self.kind, self.said, self.unit, self.labels, samples)


# -- the process's own

_Any = TypeVar("_Any", Counter, Gauge, Histogram)
_instruments: dict[str, "Counter | Gauge | Histogram"] = {}
_registering = threading.Lock()
_expected = False


def counter(name: str, said: str, labels: Sequence[str] = (), *, read: Read | None = None, most: int = 100) -> Counter:
    """Return the counter of this name. `read` tells what a part has counted by itself: a number, or one by labels."""
    made = _once(Counter(name, said, labels, most))
    if read is not None:
        made.ask(read)
    return made


def gauge(
    name: str, said: str, read: Read | None = None, labels: Sequence[str] = (), *, merge: Merge = "sum", most: int = 100
) -> Gauge:
    """Return the gauge of this name, and let it ask `read` too: for a number, one by labels, or None (not known).

    What several parts say under one name is added up, or with `merge="max"` the largest counts.
    """
    made = _once(Gauge(name, said, labels, most, merge))
    if read is not None:
        made.ask(read)
    return made


def histogram(
    name: str, said: str, buckets: Sequence[float] = SECONDS, unit: str = "", labels: Sequence[str] = ()
) -> Histogram:
    """Return the histogram of this name, with these upper bounds."""
    return _once(Histogram(name, said, buckets, unit, labels))


def collect() -> list[Snapshot]:
    """Return what all instruments say now, by name. One that fails is left out, and counted as left out."""
    snapshots = []
    for instrument in sorted(_instruments.values(), key=lambda each: each.name):
        try:
            snapshots.append(instrument.snapshot())
        except Exception:  # noqa: BLE001 (a part that cannot be read must not hide the others)
            LEFT_OUT.add(1, instrument.name)
    return snapshots


def expect_collection() -> None:
    """Say that somebody will collect: what costs its part something to count is counted from then on."""
    global _expected  # noqa: PLW0603 (one a process, as the instruments are)
    _expected = True


def is_collected() -> bool:
    """Tell whether somebody will collect."""
    return _expected


def _once(made: _Any) -> _Any:
    with _registering:
        known = _instruments.setdefault(made.name, made)
    if type(known) is not type(made) or known.labels != made.labels:
        raise ValueError(f"{made.name} is a {known.kind} with the labels {known.labels} already: choose another name")
    return known


LEFT_OUT = counter(
    "orakul_scrape_errors_total", "Figures left out of a scrape: reading them failed or took too long.", ("metric",)
)


# -- spans

Tracer: TypeAlias = Callable[[str, Mapping[str, Any]], AbstractContextManager[Any]]


class _Nothing:
    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_raised: object) -> None:
        return None


_NOTHING: Final = _Nothing()
_tracer: Tracer | None = None


def set_tracer(tracer: Tracer | None) -> None:
    """Let spans be made by `tracer(name, attributes)`, which returns a context manager; None: by nobody."""
    global _tracer  # noqa: PLW0603 (one a process, as the instruments are)
    _tracer = tracer


def span(name: str, /, **attributes: Any) -> AbstractContextManager[Any]:
    """Return what is entered for a part of the work; it does nothing unless a tracer was set."""
    if _tracer is None:
        return _NOTHING
    return _tracer(name, attributes)


# -- inner matters


def _merge(into: dict[Any, float], other: Mapping[Labels, float], how: Merge = "sum") -> None:
    for key, figure in other.items():
        if key in into:
            into[key] = into[key] + figure if how == "sum" else max(into[key], figure)
        else:
            into[key] = figure


def _unit(name: str) -> str:
    """Return the unit that a name tells: seconds, bytes or none."""
    last: Iterable[str] = name.removesuffix("_total").split("_")[-1:]
    return next((unit for unit in ("seconds", "bytes", "ratio") if unit in last), "")


def _after_fork() -> None:
    global _registering  # noqa: PLW0603 (the parent's may be held by a thread of the parent)
    _registering = threading.Lock()
    for each in _instruments.values():
        each._fresh()  # noqa: SLF001 (of this module)


os.register_at_fork(after_in_child=_after_fork)
