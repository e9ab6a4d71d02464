"""Hypothesis strategies for events about tasks: small alphabets, so that they collide as often as they can."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from orakul.events import Event

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPES = (
    *("task.pending", "task.in_progress", "task.completed", "task.failed", "task.cancelled"),
    *("task.progress", "task.log", "task.retry_requested"),
)
_texts = st.sampled_from(("", "a", "b", "ä", "aa", "A", "\x00", "𝄞", "task"))
_json = st.sampled_from(
    ({"x": 1}, {"x": 2}, {"y": None, "x": [1, "a"]}, [1, 2], "text", 0, False, 1.5, float("nan"), 10**25)
)
_starts = st.sampled_from(
    (
        *("2026-03-01T12:00:01Z", "2026-03-01T12:00:03.5Z", "2026-03-01T11:00:00"),
        *("then", "0001-01-01T00:00:00+23:00", 7),
    )
)
_errors = st.sampled_from(
    ({"type": "E", "message": "m"}, {"message": "n", "traceback": "t", "place": "p"}, {}, "said", 7)
)


@st.composite
def _data(draw: st.DrawFn, starts: bool) -> dict[str, Any]:  # noqa: FBT001 (a part of what is drawn)
    optional = {
        "attempt": st.sampled_from((1, 1, 2, 3, 0, -1, 10**30, "2", None, True)),
        "run": st.sampled_from((0, 0, 5, 1_772_000_000_000, 10**30, None)),
        "stage": st.sampled_from(("before_start", "lost", "other", None)),
        "kind": _texts,
        "name": _texts,
        "queue": _texts,
        "worker": _texts,
        "parent_id": _texts,
        "root_id": _texts,
        "group_id": _texts,
        "outcome": _texts,
        "priority": st.sampled_from((0, 9, -3, 10**12, "5", None)),
        "eta": st.sampled_from(("2026-03-01T12:00:00Z", "2026-03-01T14:00:00+01:00", "2026-03-02", "soon", None)),
        "arguments": _json,
        "result": _json,
        "error": _errors,
        "progress": st.sampled_from(({"done": 1}, {"done": 2}, {}, "half", None)),
    }
    if starts:
        optional["started_at"] = _starts
    names = draw(st.lists(st.sampled_from(sorted(optional)), unique=True, max_size=6))
    return {name: draw(optional[name]) for name in names}


def events_about(
    task_ids: st.SearchStrategy[str], types: tuple[str, ...] = TYPES, *, starts: bool = False
) -> st.SearchStrategy[list[Event]]:
    """Return lists of events, each with an id of its own; with `starts`, ends may tell of their run's start too."""
    one = st.builds(
        dict,
        event_type=st.sampled_from(types),
        task_id=task_ids,
        user_id=st.sampled_from((None, None, 7, "7", "8", "")),
        trace_id=st.sampled_from((None, "t1", "t2")),
        timestamp=st.integers(0, 4).map(lambda seconds: BEGIN + timedelta(seconds=seconds)),
        data=_data(starts),
    )
    ids = st.lists(st.integers(0, 10**6), unique=True, min_size=12, max_size=12)
    return st.tuples(st.lists(one, min_size=1, max_size=12), ids).map(
        lambda drawn: [
            Event(event_id=f"e{number:07d}", **form) for form, number in zip(drawn[0], drawn[1], strict=False)
        ]
    )
