"""What many records say together: how often, how long, what fails, where the time goes.

Everything is kept in sums and mergeable sketches, so memory does not grow with the number of operations, two processes'
figures can be added up, and a period is the sum of its minutes.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from ddsketch import DDSketch

from orakul.operations.collection import Call
from orakul.operations.record import OperationLog, Outcome, SubOperationLog

__all__ = ["Bottleneck", "Difference", "ErrorGroup", "OperationAnalyzer", "Statistics", "differences"]

ACCURACY = 0.01
"""Percentiles are right to one percent of their value (DDSketch's guarantee)."""

KEPT_MINUTES = 24 * 60
KEPT_GROUPS = 1_000
_ENOUGH = 20


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """One operation's figures. Times are in milliseconds; `self_ms` leaves out what its children took.

    `error_rate` is errors ÷ count; cancelled, closed and aborted calls are no errors.
    """

    name: str
    count: int
    errors: int
    error_rate: float
    cancelled: int
    total_ms: float
    self_ms: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class Bottleneck(msgspec.Struct, frozen=True, kw_only=True):
    """Where time goes. `share` is of the parent's total time, 0 to 1.

    `reason`: `share`, a child that takes most of its parent; `waiting`, a parent whose time passes between its
    children; `growth`, an operation whose time grows faster than its data (`exponent` of a power law: 1 is linear,
    2 quadratic).
    """

    name: str
    reason: Literal["share", "waiting", "growth"]
    parent: str | None = None
    share: float | None = None
    total_ms: float = 0.0
    exponent: float | None = None


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of one operation, type and place: one cause, seen `count` times."""

    name: str
    error_type: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One operation in two periods. Ratios are later ÷ earlier, None where it was absent in the earlier."""

    name: str
    before: Statistics | None
    after: Statistics | None
    count_ratio: float | None
    p50_ratio: float | None
    p95_ratio: float | None
    error_rate_change: float


class _Tally:
    """The sums of one name."""

    __slots__ = ("cancelled", "count", "errors", "max", "points", "self_ns", "sketch", "total")

    def __init__(self) -> None:
        self.count = self.errors = self.cancelled = self.total = self.self_ns = self.max = 0
        self.sketch = DDSketch(ACCURACY)
        # n, Σx, Σy, Σxy, Σx² of x = log size, y = log duration: enough for a straight line.
        self.points = [0.0] * 5

    def add(self, duration: int, outcome: Outcome, size: int) -> None:
        self.count += 1
        self.total += duration
        self.max = max(self.max, duration)
        self.sketch.add(duration)
        if outcome is Outcome.ERROR:
            self.errors += 1
        elif outcome is not Outcome.SUCCESS:
            self.cancelled += 1
        elif size > 0 and duration > 0:
            x, y = math.log(size), math.log(duration)
            for at, value in enumerate((1.0, x, y, x * y, x * x)):
                self.points[at] += value

    def merge(self, other: "_Tally") -> None:
        self.count += other.count
        self.errors += other.errors
        self.cancelled += other.cancelled
        self.total += other.total
        self.self_ns += other.self_ns
        self.max = max(self.max, other.max)
        self.sketch.merge(other.sketch)
        self.points = [one + two for one, two in zip(self.points, other.points, strict=True)]

    def exponent(self) -> float | None:
        n, x, y, xy, xx = self.points
        spread = n * xx - x * x
        return (n * xy - x * y) / spread if n >= _ENOUGH and spread > n * n * 0.05 else None

    def statistics(self, name: str) -> Statistics:
        def quantile(q: float) -> float:
            return float(self.sketch.get_quantile_value(q) or 0.0) / 1e6

        return Statistics(
            name=name,
            count=self.count,
            errors=self.errors,
            error_rate=self.errors / self.count if self.count else 0.0,
            cancelled=self.cancelled,
            total_ms=self.total / 1e6,
            self_ms=self.self_ns / 1e6,
            mean_ms=self.total / self.count / 1e6 if self.count else 0.0,
            p50_ms=quantile(0.5),
            p95_ms=quantile(0.95),
            p99_ms=quantile(0.99),
            max_ms=self.max / 1e6,
        )


class OperationAnalyzer:
    """Statistics, bottlenecks, errors and comparisons of operations.

    Live: `collector.sinks.append(OperationAnalyzer())`. Over records from anywhere: `analyzer.add(log)`. Over the
    journal: `orakul report` and `GET /api/operations`. Not locked: as a sink it is told from one thread at a time.

    Figures are kept by the minute, for the last day; `whole=True` keeps one sum of all that it is given, however long
    ago it was, and tells no periods apart.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._minutes: dict[int, dict[str, _Tally]] = {}
        self._shares: dict[tuple[str, str], int] = defaultdict(int)
        self._waiting: dict[str, int] = defaultdict(int)
        self._parents: dict[str, int] = defaultdict(int)
        self._groups: dict[tuple[str, str, str], list[Any]] = {}

    # --- in ---------------------------------------------------------------------------------------------------

    def on_calls(self, calls: list[Call]) -> None:
        """Count finished calls (as a sink of the collector)."""
        minute = int(datetime.now(UTC).timestamp()) // 60
        tallies = self._minute(minute)
        for call in calls:
            self._tally(tallies, call.spec.name).add(call.end - call.start, call.outcome, call.size)

    def on_tree(self, log: OperationLog) -> None:
        """Take the shape of a finished tree (as a sink of the collector)."""
        self._shape(log, live=True)

    def on_running(self, log: OperationLog) -> None:
        """Pass over what has not ended."""

    def add(self, log: OperationLog | SubOperationLog) -> None:
        """Count a record and everything under it."""
        self._count(log)
        if isinstance(log, OperationLog):
            self._shape(log, live=False)
        else:
            self._error(log)

    def _count(self, log: OperationLog | SubOperationLog) -> None:
        tallies = self._minute(int(log.started_at.timestamp()) // 60)
        size = math.prod(log.result_shape) if log.result_shape else -1
        for _ in range(log.count):
            self._tally(tallies, log.name).add(log.duration_ns // log.count, log.outcome, size)
        for child in log.children if isinstance(log, OperationLog) else ():
            self._count(child)

    def _minute(self, minute: int) -> dict[str, _Tally]:
        minute = 0 if self._whole else minute
        tallies = self._minutes.get(minute)
        if tallies is None:
            tallies = self._minutes[minute] = {}
            while len(self._minutes) > KEPT_MINUTES:
                del self._minutes[min(self._minutes)]
        return tallies

    @staticmethod
    def _tally(tallies: dict[str, _Tally], name: str) -> _Tally:
        tally = tallies.get(name)
        if tally is None:
            tally = tallies[name] = _Tally()
        return tally

    def _shape(self, log: OperationLog, *, live: bool) -> None:
        covered = _covered(log)
        own = log.duration_ns - covered
        minute = int((datetime.now(UTC) if live else log.started_at).timestamp()) // 60
        self._tally(self._minute(minute), log.name).self_ns += own
        if log.children:
            self._parents[log.name] += log.duration_ns
            self._waiting[log.name] += own
        self._error(log)
        for child in log.children:
            self._shares[log.name, child.name] += child.duration_ns
            if isinstance(child, OperationLog):
                self._shape(child, live=live)
            else:
                self._tally(self._minute(minute), child.name).self_ns += child.duration_ns
                self._error(child)

    def _error(self, log: OperationLog | SubOperationLog) -> None:
        if log.outcome is not Outcome.ERROR:
            return
        key = (log.name, log.error_type or "", _place(log.traceback))
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= KEPT_GROUPS:
                del self._groups[min(self._groups, key=lambda each: self._groups[each][3])]
            group = self._groups[key] = [log.error_message or "", 0, log.started_at, log.started_at]
        group[1] += log.count
        group[2] = min(group[2], log.started_at)
        group[3] = max(group[3], log.started_at)

    def merge(self, other: "OperationAnalyzer") -> None:
        """Add another process's figures to these."""
        for minute, tallies in other._minutes.items():  # noqa: SLF001 (of our own class)
            for name, tally in tallies.items():
                self._tally(self._minute(minute), name).merge(tally)
        for pair, total in other._shares.items():  # noqa: SLF001
            self._shares[pair] += total
        for name, waited in other._waiting.items():  # noqa: SLF001
            self._waiting[name] += waited
        for name, total in other._parents.items():  # noqa: SLF001
            self._parents[name] += total
        for key, (message, count, first, last) in other._groups.items():  # noqa: SLF001
            group = self._groups.setdefault(key, [message, 0, first, last])
            group[1] += count
            group[2], group[3] = min(group[2], first), max(group[3], last)

    # --- out --------------------------------------------------------------------------------------------------

    def statistics(self, since: datetime | None = None, until: datetime | None = None) -> list[Statistics]:
        """Return the figures of each name, the one with the greatest total time first; of a period, by the minute."""
        return sorted(
            (tally.statistics(name) for name, tally in self._period(since, until).items()),
            key=lambda each: -each.total_ms,
        )

    def _period(self, since: datetime | None, until: datetime | None) -> dict[str, _Tally]:
        if self._whole and (since or until):
            raise ValueError("an analyzer of the whole tells no periods apart")
        first = int(since.timestamp()) // 60 if since else -math.inf
        last = math.ceil(until.timestamp() / 60) if until else math.inf
        merged: dict[str, _Tally] = {}
        for minute, tallies in list(self._minutes.items()):
            if first <= minute < last:
                for name, tally in list(tallies.items()):
                    self._tally(merged, name).merge(tally)
        return merged

    def bottlenecks(self, *, share: float = 0.5, exponent: float = 1.3) -> list[Bottleneck]:
        """Return what to look at first: children and waits above `share` of the parent, growth above `exponent`."""
        found = []
        for (parent, name), total in self._shares.items():
            part = total / self._parents[parent] if self._parents.get(parent) else 0.0
            if part >= share:
                found.append(
                    Bottleneck(name=name, reason="share", parent=parent, share=min(part, 1.0), total_ms=total / 1e6)
                )
        for name, waited in self._waiting.items():
            part = waited / self._parents[name] if self._parents[name] else 0.0
            if part >= share:
                found.append(Bottleneck(name=name, reason="waiting", share=part, total_ms=waited / 1e6))
        for name, tally in self._period(None, None).items():
            power = tally.exponent()
            if power is not None and power >= exponent:
                found.append(Bottleneck(name=name, reason="growth", total_ms=tally.total / 1e6, exponent=power))
        return sorted(found, key=lambda each: -each.total_ms)

    def errors(self) -> list[ErrorGroup]:
        """Return the groups of errors, the most frequent first."""
        groups = (
            ErrorGroup(name=name, error_type=kind, message=message, count=count, first_seen=first, last_seen=last)
            for (name, kind, _), (message, count, first, last) in self._groups.items()
        )
        return sorted(groups, key=lambda each: -each.count)

    def compare(
        self, before: tuple[datetime, datetime], after: tuple[datetime, datetime] | None = None
    ) -> list[Difference]:
        """Compare two periods, each `(since, until)`; without the later one, as long again right after the earlier."""
        if after is None:
            after = (before[1], before[1] + (before[1] - before[0]))
        return differences(self.statistics(*before), self.statistics(*after))

    def last(self, period: timedelta) -> list[Statistics]:
        """Return the figures of the last hour, day or whatever `period` is."""
        return self.statistics(datetime.now(UTC) - period)


def differences(before: Iterable[Statistics], after: Iterable[Statistics]) -> list[Difference]:
    """Return each name of two periods' statistics beside itself."""
    old = {each.name: each for each in before}
    new = {each.name: each for each in after}
    return [_difference(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]


def _difference(name: str, before: Statistics | None, after: Statistics | None) -> Difference:
    def ratio(one: float, two: float) -> float | None:
        return two / one if one else None

    both = before is not None and after is not None
    return Difference(
        name=name,
        before=before,
        after=after,
        count_ratio=ratio(before.count, after.count) if before is not None and after is not None else None,
        p50_ratio=ratio(before.p50_ms, after.p50_ms) if before is not None and after is not None else None,
        p95_ratio=ratio(before.p95_ms, after.p95_ms) if before is not None and after is not None else None,
        error_rate_change=(after.error_rate - before.error_rate) if both and before and after else 0.0,
    )


def _covered(log: OperationLog) -> int:
    """Return how many nanoseconds of an operation at least one of its children was under way."""
    begin = log.started_at
    spans = sorted(
        (round((child.started_at - begin).total_seconds() * 1e9), child.duration_ns) for child in log.children
    )
    covered = end = 0
    for start, length in spans:
        stop = min(start + length, log.duration_ns)
        covered += max(0, stop - max(start, end))
        end = max(end, stop)
    return min(covered, log.duration_ns)


def _place(traceback: str | None) -> str:
    """Return the innermost `File …, line …` of a traceback."""
    lines = [line.strip() for line in (traceback or "").splitlines() if line.lstrip().startswith('File "')]
    return lines[-1] if lines else ""
