"""What stands out: names and queues of the last days against as many days before, from roll-ups of whole days."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from math import log2

from orakul.journals.postgres.histograms import Tally
from orakul.journals.postgres.rollups import PostgresRollups, Sum, sums_of_owner, together
from orakul.tasks.room import Bottleneck, Insights, NameFigures

__all__ = ["insights"]

_SHOWN = 10
_ENOUGH = 20
_DAY = 86_400
Tallies = dict[str, Tally]


def insights(rollups: PostgresRollups, *, days: int, owner: str | None) -> Insights:
    """Return the names and queues that stand out."""
    now = datetime.now(UTC)
    until = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    split, since = until - timedelta(days=days), until - timedelta(days=2 * days)
    partial = False
    if owner is None:
        named, queued = rollups.by_name(since, until, split), rollups.by_queue(split, until)
    else:
        named, partial = sums_of_owner(rollups.connections, owner, _DAY, since, until)
        queued = [found for found in named if found.at >= split]
    after = _by(lambda found: found.name, (found for found in named if found.at >= split))
    before = _by(lambda found: found.name, (found for found in named if found.at < split))
    figures = [_figures(name or "", tallies, before.get(name, {})) for name, tallies in after.items()]
    ended = [figure for figure in figures if figure.ended]
    changed = [figure for figure in ended if figure.changed is not None]
    queues = [_bottleneck(queue, tallies) for queue, tallies in _by(lambda found: found.queue, queued).items()]
    return Insights(
        since=split,
        until=until,
        before=since,
        slowest=_first(ended, lambda figure: figure.duration.p95 or 0.0),
        most_failing=_first([figure for figure in ended if figure.failed], lambda figure: figure.failed),
        most_changed=_first(changed, _change),
        bottlenecks=sorted((each for each in queues if each.started), key=lambda each: -each.share)[:_SHOWN],
        partial=partial,
    )


def _by(key: Callable[[Sum], str | None], sums: Iterable[Sum]) -> dict[str | None, Tallies]:
    found: dict[str | None, Tallies] = {}
    for each in sums:
        found.setdefault(key(each), {}).setdefault(each.status, Tally()).join(each.tally)
    return found


def _worked(tallies: Tallies) -> Tally:
    return together(tallies.get(status) for status in ("completed", "failed"))


def _rate(failed: int, ended: int) -> float | None:
    return round(failed / ended, 4) if ended else None


def _figures(name: str, now: Tallies, before: Tallies) -> NameFigures:
    worked, worked_before = _worked(now), _worked(before)
    failed, failed_before = together([now.get("failed")]).n, together([before.get("failed")]).n
    duration, duration_before = worked.spread(), worked_before.spread()
    enough = min(worked.timed, worked_before.timed) >= _ENOUGH
    changed = duration.p95 / duration_before.p95 if enough and duration.p95 and duration_before.p95 else None
    return NameFigures(
        name=name,
        ended=worked.n,
        failed=failed,
        failure_rate=_rate(failed, worked.n),
        duration=duration,
        waiting=together([now.get("in_progress")]).spread(),
        busy_ms=round(worked.milliseconds, 3),
        ended_before=worked_before.n,
        failed_before=failed_before,
        failure_rate_before=_rate(failed_before, worked_before.n),
        duration_before=duration_before,
        changed=None if changed is None else round(changed, 3),
    )


def _change(figure: NameFigures) -> float:
    """Return how much a name has changed: twice as slow or as fast counts as much as 10 % more or fewer failures."""
    rates = abs((figure.failure_rate or 0.0) - (figure.failure_rate_before or 0.0))
    return abs(log2(figure.changed or 1.0)) + 10 * rates


def _bottleneck(queue: str | None, tallies: Tallies) -> Bottleneck:
    waited, worked = together([tallies.get("in_progress")]), _worked(tallies)
    whole = waited.milliseconds + worked.milliseconds
    return Bottleneck(
        queue=queue,
        started=waited.n,
        waiting_ms=round(waited.milliseconds, 3),
        busy_ms=round(worked.milliseconds, 3),
        share=round(waited.milliseconds / whole, 4) if whole > 0 else 0.0,
        waiting=waited.spread(),
    )


def _first(figures: list[NameFigures], key: Callable[[NameFigures], float]) -> list[NameFigures]:
    return sorted(figures, key=key, reverse=True)[:_SHOWN]
