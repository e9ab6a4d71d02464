"""What a formatter writes can be read: by people in columns, by programs to the same values."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.dom import minidom

from hypothesis import given, settings
from hypothesis import strategies as st
from wcwidth import wcswidth

from orakul.operations import OperationLog, Outcome, SubOperationLog, read_log
from orakul.operations.formatters.json import JSONFormatter
from orakul.operations.formatters.table import TableFormatter
from orakul.operations.formatters.tree import TreeFormatter
from orakul.operations.formatters.xml import XMLFormatter, read_xml

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def facts() -> dict[str, Any]:
    return {
        "operation_id": st.text("0123456789abcdef", min_size=16, max_size=16),
        "root_id": st.text("0123456789abcdef", min_size=32, max_size=32),
        "name": TEXT,
        "outcome": st.sampled_from(Outcome),
        "started_at": st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 (Hypothesis adds the zone)
        "duration_ns": st.integers(0, 10**15),
        "target": st.none() | TEXT,
        "result_type": st.none() | TEXT,
        "result_shape": st.none() | st.lists(st.integers(0, 9), max_size=2),
        "error_type": st.none() | TEXT,
        "error_message": st.none() | TEXT,
        "traceback": st.none() | TEXT,
        "context": st.dictionaries(TEXT, VALUES, max_size=3),
        "facts": st.dictionaries(TEXT, VALUES, max_size=3),
        "count": st.integers(1, 99),
    }


STEPS = st.builds(SubOperationLog, **facts())
LOGS = st.recursive(
    st.builds(OperationLog, **facts()),
    lambda inner: st.builds(OperationLog, children=st.lists(STEPS | inner, max_size=3), **facts()),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(LOGS)
def test_json_reads_back_to_the_same_record(log: OperationLog) -> None:
    assert read_log(JSONFormatter().format_operation_log(log)) == log
    assert read_log(JSONFormatter(indent=2).format_operation_log(log)) == log


@settings(max_examples=60, deadline=None)
@given(LOGS)
def test_xml_is_well_formed_and_reads_back_to_the_same_record(log: OperationLog) -> None:
    text = XMLFormatter().format_operation_log(log)
    minidom.parseString(text.encode())  # noqa: S318 (our own text, a second parser)
    assert read_xml(text) == log


@settings(max_examples=60, deadline=None)
@given(LOGS)
def test_a_table_keeps_its_columns_and_its_lines_whatever_the_data(log: OperationLog) -> None:
    lines = TableFormatter().format_operation_log(log).split("\n")
    rules = [number for number, line in enumerate(lines) if "┼" in line and set(line) <= set("─┼")]
    if log.children:
        body = lines[rules[0] - 1 : rules[-1]]
        starts = [wcswidth(line.split("│")[0]) for line in body if "│" in line]
        assert len(set(starts)) == 1
    assert all(char.isprintable() for line in lines for char in line)


def test_wide_characters_align() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    child = {
        "operation_id": "2" * 16,
        "root_id": "1" * 32,
        "outcome": Outcome.SUCCESS,
        "started_at": moment,
        "duration_ns": 5_000_000,
    }
    log = OperationLog(
        operation_id="1" * 16,
        root_id="1" * 32,
        name="ЗАГРУЗКА",
        outcome=Outcome.SUCCESS,
        started_at=moment,
        duration_ns=1_500_000_000,
        children=[
            SubOperationLog(name="読む", target="ファイル", result_type="list", result_shape=[3], **child),
            SubOperationLog(name="write", count=43, **child),
        ],
    )
    assert TableFormatter().format_operation_log(log).split("\n") == [
        "Operation ЗАГРУЗКА  2026-01-01 00:00:00",
        "Step │ Sub-operation │ Target   │ Result type │ Status  │   Time",
        "─────┼───────────────┼──────────┼─────────────┼─────────┼───────",
        "   1 │ 読む          │ ファイル │ list[3]     │ success │ 5.0 ms",
        "   2 │ write (×43)   │          │             │ success │ 5.0 ms",
        "─────┼───────────────┼──────────┼─────────────┼─────────┼───────",
        "SUCCESS in 1.50 s: 44 steps, 0 failed",
    ]
    assert TreeFormatter().format_operation_log(log).split("\n")[1] == "├─ ✓ 読む ファイル → list[3] 5.0 ms"


def test_stored_records_of_the_first_version_are_read() -> None:
    stored = (Path(__file__).parent / "samples" / "version-1.jsonl").read_text("utf-8")
    log = read_log(stored.strip())
    assert isinstance(log, OperationLog)
    assert (log.name, log.duration_ns, log.version) == ("OLD", 1_500_000_000, 2)
    (child,) = log.children
    assert (child.name, child.duration_ns, child.count, child.error_message) == ("read", 250_000_000, 3, "gone")
