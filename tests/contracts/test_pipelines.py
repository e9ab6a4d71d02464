"""What the control room says of pipelines is what their runs say; the same run told twice is one."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from orakul.events import Event
from orakul.journals.postgres import PostgresJournal, PostgresPipelines, PostgresReader
from orakul.pipelines import PipelineWatcher
from orakul.tasks import TaskQuery


class Silent:
    shown = "nowhere"


def message(number: int, *, name: str = "MASK_V001", hours_ago: float = 0.0, **changes: object) -> tuple[str, bytes]:
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours_ago)
    form = {
        "pipeline_name": "erp_mask_sync",
        "result_name": name,
        "status": "success",
        "started_at": (end - timedelta(seconds=2)).isoformat(),
        "finished_at": end.isoformat(),
        "duration_ms": 2000,
        "rows_loaded": number,
        "rows_exported": number,
    }
    return f"tdtp:pipeline:{name}", json.dumps(form | changes).encode()


def watch(url: str, messages: list[tuple[str, bytes]]) -> PipelineWatcher:
    journal, channel = PostgresJournal(url), cast("Any", Silent())

    def record(*events: Event) -> None:
        journal.append(events)

    watcher = PipelineWatcher(channel, record=record, known=PostgresPipelines(url).known)
    watcher.take(messages)
    return watcher


def test_a_result_has_its_last_run_its_rhythm_and_the_runs_before(database_url: str) -> None:
    told = [message(100 + hour, hours_ago=hour) for hour in (5, 4, 3, 2, 1)]
    watch(database_url, told)
    state = PostgresPipelines(database_url).state("MASK_V001")
    assert state is not None
    assert (state.status, state.rows_loaded, state.pipeline_name) == ("success", 101, "erp_mask_sync")
    assert state.usual_seconds == 3600
    assert state.late_seconds is None
    assert [run.rows_loaded for run in state.runs] == [101, 102, 103, 104, 105]


def test_silence_beyond_the_usual_is_late(database_url: str) -> None:
    watch(database_url, [message(1, hours_ago=hour) for hour in (14, 13, 12, 11)])
    state = PostgresPipelines(database_url).state("MASK_V001")
    assert state is not None
    assert state.late_seconds is not None
    assert round(state.late_seconds / 3600) == 10


def test_a_run_told_twice_or_by_two_watchers_is_one_task(database_url: str) -> None:
    told = [message(number, hours_ago=number, name=f"R{number % 3}") for number in range(1, 13)]
    watch(database_url, told + told)
    watch(database_url, list(reversed(told)))
    found = PostgresReader(database_url).tasks(TaskQuery(kind=["pipeline"], limit=100)).items
    assert len(found) == 12
    assert {(task.kind, str(task.status)) for task in found} == {("pipeline", "completed")}


def test_states_are_listed_by_name_and_an_owner_sees_none_of_the_houses(database_url: str) -> None:
    watch(database_url, [message(1, name=name) for name in ("B", "A: b c", "C")])
    pipelines = PostgresPipelines(database_url)
    assert [state.result_name for state in pipelines.states()] == ["A: b c", "B", "C"]
    assert [state.result_name for state in pipelines.states(limit=2)] == ["A: b c", "B"]
    assert pipelines.states(owner="7") == []
    assert pipelines.state("B", owner="7") is None
    assert pipelines.state("nothing") is None


def test_broken_rules_are_with_the_run_and_among_the_events(database_url: str) -> None:
    watch(database_url, [message(10, rows_exported=8)])
    state = PostgresPipelines(database_url).state("MASK_V001")
    assert state is not None
    assert state.data_quality[0]["message"].startswith("2 строки отброшено")
    events = PostgresReader(database_url).events(types=["pipeline.*"]).items
    assert [stored.event.data["value"] for stored in events] == [2]


def test_a_run_that_told_of_its_start_is_one_task_when_it_ends(database_url: str) -> None:
    start, end = message(10, status="running", finished_at=None, duration_ms=None), message(10)
    began = json.loads(end[1])["started_at"]
    start = message(10, status="running", finished_at=None, duration_ms=None, started_at=began)
    watch(database_url, [start, end])
    found = PostgresReader(database_url).tasks(TaskQuery(kind=["pipeline"], limit=100)).items
    assert [str(task.status) for task in found] == ["completed"]
