"""Whatever a producer sends is read, or refused with a reason; the same run is one run."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orakul.errors import InvalidEventError, SettingsError
from orakul.pipelines.message import read_message
from orakul.pipelines.recording import events_of
from orakul.pipelines.rhythm import History, Usual
from orakul.pipelines.rules import DEFAULT, Broken, RuleKind, broken_by, late, read_rules, rules_for
from orakul.pipelines.words import lines_of, sentence_of
from orakul.tasks.projection import project
from orakul.tasks.status import Status

CHANNEL = "tdtp:pipeline:MASK_V001"
MESSAGE = {
    "pipeline_name": "erp_mask_sync",
    "result_name": "MASK_V001",
    "status": "success",
    "started_at": "2025-11-18T10:00:00Z",
    "finished_at": "2025-11-18T10:00:02Z",
    "duration_ms": 1842,
    "rows_loaded": 15000,
    "rows_exported": 14998,
}


MOMENT = datetime(2025, 11, 1, tzinfo=UTC)
LOADED = {rows: History([(MOMENT, rows)] * 3) for rows in (10, 15000, 50000)}


def told(**changes: Any) -> bytes:
    form = {name: value for name, value in (MESSAGE | changes).items() if value is not ...}
    return json.dumps(form, ensure_ascii=False).encode()


def shown(raw: bytes) -> list[str]:
    run = read_message(raw, CHANNEL)
    return [line for _, line in lines_of(run, broken_by(run, DEFAULT, History()))]


def test_a_success_reads_as_in_the_document() -> None:
    assert shown(told()) == [
        "[EVENT] erp_mask_sync -> MASK_V001",
        "  Status  : SUCCESS (1.84s)",
        "  Rows    : loaded=15000  exported=14998",
        "  [DQ]    : WARN — 2 строки отброшено валидатором/фильтром",
    ]


def test_a_failure_reads_as_in_the_document() -> None:
    assert shown(told(status="failed", error="connection refused")) == [
        "[EVENT] erp_mask_sync -> MASK_V001",
        "  Status  : FAILED",
        "  Error   : connection refused",
    ]


@pytest.mark.parametrize(
    ("lost", "words"),
    [(1, "1 строка отброшена"), (3, "3 строки отброшено"), (5, "5 строк отброшено"), (11, "11 строк отброшено")],
)
def test_lost_rows_are_counted_in_good_russian(lost: int, words: str) -> None:
    assert words in shown(told(rows_exported=15000 - lost))[-1]


def test_nothing_lost_is_no_warning() -> None:
    assert len(shown(told(rows_exported=15000))) == 3


@pytest.mark.parametrize("status", ["completed_with_errors", "partial", "weird"])
def test_an_end_between_success_and_failure_is_neither_hidden_nor_called_success(status: str) -> None:
    run = read_message(told(status=status, error="3 of 9 tables failed"), CHANNEL)
    assert run.verdict == "with_errors"
    lines = [line for _, line in lines_of(run)]
    assert lines[1] == f"  Status  : {status.upper()} (1.84s)"
    assert "3 of 9 tables failed" in lines[-1]
    task = project(events_of(run))
    assert task is not None
    assert (task.status, task.outcome) == (Status.FAILED, status)


def test_a_success_that_tells_of_an_error_is_not_called_success() -> None:
    assert read_message(told(error="one file was locked"), CHANNEL).verdict == "with_errors"


def test_times_with_nanoseconds_offsets_and_numbers_are_times() -> None:
    expected = datetime(2025, 11, 18, 10, 0, 0, 123456, tzinfo=UTC)
    for text in ("2025-11-18T10:00:00.123456789Z", "2025-11-18T13:00:00.123456+03:00", "2025-11-18T10:00:00.123456"):
        assert read_message(told(started_at=text), CHANNEL).started_at == expected
    assert read_message(told(started_at=expected.timestamp()), CHANNEL).started_at == expected
    assert read_message(told(started_at=int(expected.timestamp() * 1000)), CHANNEL).started_at == expected.replace(
        microsecond=123000
    )


def test_what_is_missing_is_told_and_the_rest_is_used() -> None:
    run = read_message(told(pipeline_name=..., result_name=..., rows_loaded=..., finished_at=...), CHANNEL)
    assert (run.pipeline_name, run.result_name, run.rows_loaded) == ("MASK_V001", "MASK_V001", None)
    assert run.finished_at == datetime(2025, 11, 18, 10, 0, 1, 842000, tzinfo=UTC)
    assert "no pipeline_name" in run.oddities


def test_names_keep_their_spaces_and_colons_and_state_channels_are_results() -> None:
    run = read_message(told(result_name=...), "tdtp:pipeline:A: b:c:state")
    assert run.result_name == "A: b:c"


def test_extra_fields_are_kept() -> None:
    run = read_message(told(tables=["a"], host="x"), CHANNEL)
    assert run.extra == {"tables": ["a"], "host": "x"}
    assert events_of(run)[-1].data["result"]["extra"] == run.extra


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'"x"', b"null", b"\xff\xfe"])
def test_what_is_no_message_is_refused_with_a_reason(raw: bytes) -> None:
    with pytest.raises(InvalidEventError, match=r"not JSON|is an object"):
        read_message(raw, CHANNEL)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*MESSAGE, "error", "extra"]), values))
def test_no_object_is_a_crash(form: dict[str, Any]) -> None:
    run = read_message(json.dumps(form, allow_nan=False, default=str) if _finite(form) else b"{}", CHANNEL)
    broken = broken_by(run, DEFAULT, LOADED[10])
    assert lines_of(run, broken)
    assert project(events_of(run, broken)) is not None


def _finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def test_the_same_run_told_twice_gives_the_same_events() -> None:
    first, again = (events_of(read_message(told(), CHANNEL)) for _ in range(2))
    assert [(event.event_id, event.timestamp) for event in first] == [(e.event_id, e.timestamp) for e in again]
    other = events_of(read_message(told(finished_at="2025-11-18T10:00:03Z"), CHANNEL))
    assert other[0].task_id != first[0].task_id


def test_a_run_is_a_task_with_rows_and_duration() -> None:
    task = project(events_of(read_message(told(), CHANNEL)))
    assert task is not None
    assert (task.kind, task.name, task.status, task.outcome) == (
        "pipeline",
        "erp_mask_sync",
        Status.COMPLETED,
        "success",
    )
    assert task.result["rows_exported"] == 14998
    assert task.finished_at == datetime(2025, 11, 18, 10, 0, 2, tzinfo=UTC)


def test_rules_have_names_thresholds_and_patterns() -> None:
    run = read_message(told(), CHANNEL)
    rules = read_rules([{"kind": "rows_lost"}, {"kind": "rows_lost", "pipeline": "erp_*", "threshold": 5}])
    assert broken_by(run, rules_for(run, rules), History()) == []
    share = read_rules([{"kind": "share_lost", "threshold": 0.0001, "name": "leaky"}])
    assert [broken.rule for broken in broken_by(run, share, History())] == ["leaky"]
    fewer = read_rules([{"kind": "fewer_rows"}])
    assert broken_by(run, fewer, LOADED[15000]) == []
    assert broken_by(run, fewer, LOADED[50000])[0].kind == "fewer_rows"
    silent = read_rules([{"kind": "late", "threshold": 2}])
    assert late(silent, Usual(seconds=3600), 7000) is None
    assert late(silent, Usual(seconds=3600), 7300) is not None


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"kind": "row_lost"}, "did you mean 'rows_lost'"),
        ({"kind": "late", "treshold": 1}, "did you mean 'threshold'"),
        ({}, "no kind is said"),
        ({"kind": "late", "threshold": -1}, "must not be negative"),
        ({"kind": "late", "threshold": "x"}, "Expected `float`"),
    ],
)
def test_a_wrong_rule_is_named_with_the_nearest_right_word(table: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        read_rules([table])


def test_what_is_usual_takes_some_runs_to_be_known() -> None:
    moments = [datetime(2025, 11, 18, hour, tzinfo=UTC) for hour in (1, 2, 3, 4)]
    assert History((moment, 10) for moment in moments[:2]).usual() == Usual()
    assert History((moment, 10) for moment in reversed(moments)).usual() == Usual(seconds=3600.0, rows=10.0)


@pytest.mark.parametrize(
    ("kind", "value", "usual", "russian", "english"),
    [
        ("rows_lost", 2, None, "2 строки отброшено валидатором/фильтром", "2 rows dropped by a validator or filter"),
        ("rows_lost", 1, None, "1 строка отброшена валидатором/фильтром", "1 row dropped by a validator or filter"),
        ("rows_lost", -11, None, "выгружено на 11 строк больше, чем загружено", "11 rows more exported than loaded"),
        ("share_lost", 0.05, None, "потеряно 5.0% строк (допустимо 1.0%)", "5.0% of rows lost (1.0% allowed)"),
        ("fewer_rows", 30, 100.0, "загружено строк: 30, обычно около 100", "30 rows loaded, usually about 100"),
        (
            *("late", 9000.0, 3600.0),
            *("опаздывает: тишина 2.5 ч, обычно запуск раз в 1 ч", "late: silent for 2.5 h, usually a run every 1 h"),
        ),
    ],
)
def test_a_broken_rule_is_said_in_both_languages(
    kind: RuleKind, value: float, usual: float | None, russian: str, english: str
) -> None:
    broken = Broken(rule="r", kind=kind, threshold=0.01, value=value, usual=usual)
    assert (sentence_of(broken), sentence_of(broken, "en")) == (russian, english)
    run = read_message(told(error="x"), CHANNEL)
    assert f"WARN — {english}" in "".join(line for _, line in lines_of(run, [broken], "en"))
