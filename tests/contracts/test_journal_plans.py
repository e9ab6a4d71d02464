"""The plans of the hot statements: each page is read in order from an index, never by sorting or scanning the table."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from orakul.events import Event
from orakul.journals.postgres import PostgresJournal, append
from orakul.journals.postgres import statements as sql
from orakul.journals.postgres.batch import Batch
from orakul.journals.postgres.bounded import count_statement, groups_statement
from orakul.journals.postgres.paging import SORTS, cursor_of, page_statement, sample_statement
from orakul.journals.postgres.rows import LIST_COLUMNS, task_from
from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import Status

FILL = """
INSERT INTO orakul.tasks (task_id, created_at, started_at, finished_at, updated_at, era, run, name_era, queue_era,
    worker_era, attempt, rank, event_id, status, kind, name, user_id, queue, error_key)
SELECT md5(n::text), now() - n * interval '1 second', now(), now(), now(), 17592186044416, 0, 0, 0, 0, 1, 5, n::text,
    CASE WHEN n % 20 = 0 THEN 'failed' WHEN n % 500 = 1 THEN 'pending' ELSE 'completed' END,
    CASE WHEN n % 10 = 0 THEN 'export' ELSE 'celery' END, 'name ' || n % 13, 'u' || n % 11, 'q' || n % 7,
    CASE WHEN n % 20 = 0 THEN n % 50 END
FROM generate_series(1, 60000) AS n
"""


@pytest.fixture(scope="module")
def filled(postgres: Any, migrated_template: str) -> Iterator[psycopg.Connection]:
    """A database with 60,000 tasks, known to the planner."""
    name = f"{migrated_template}_plans"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"')  # type: ignore[arg-type]
    with psycopg.connect(psycopg.conninfo.make_conninfo(postgres.url, dbname=name), autocommit=True) as connection:
        connection.execute(FILL)
        connection.execute("VACUUM (ANALYZE) orakul.tasks")
        yield connection
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[arg-type]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def explained(connection: psycopg.Connection, text: str, values: Any) -> list[dict[str, Any]]:
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {text}", values).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return list(nodes(row[0][0]["Plan"]))


def kinds(plan: list[dict[str, Any]]) -> set[str]:
    return {node["Node Type"] for node in plan}


def indexes(plan: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in plan if "Index Name" in node}


@pytest.mark.parametrize("direction", ["", "-"])
@pytest.mark.parametrize("column", SORTS)
@pytest.mark.parametrize("deep", [False, True], ids=["first", "deep"])
def test_each_sort_is_read_from_its_index(
    filled: psycopg.Connection, column: str, direction: str, *, deep: bool
) -> None:
    query = TaskQuery(sort=direction + column)
    if deep:
        order = ", ".join(name + (" DESC" if direction else "") for name in SORTS[column])
        row = filled.execute(
            f"SELECT {LIST_COLUMNS} FROM orakul.tasks ORDER BY {order} OFFSET 30000 LIMIT 1"  # type: ignore[arg-type]  # noqa: S608 (constants)
        ).fetchone()
        assert row is not None
        task = task_from(row)
        query = TaskQuery(
            sort=query.sort, cursor=cursor_of(query.sort, {name: getattr(task, name) for name in sql.SORTED})
        )
    text, values = page_statement(query, _cursor(query), missing=False, limit=51)
    plan = explained(filled, text, values)
    assert kinds(plan) == {"Limit", "Index Scan"}
    names = {"task_id": "tasks_pkey", "user_id": "tasks_user"}
    assert indexes(plan) == {names.get(column, f"tasks_{column.removesuffix('_at')}")}


def _cursor(query: TaskQuery) -> Any:
    from orakul.journals.postgres.paging import after

    return after(query)


_IN_ORDER = {
    *("Limit", "Index Scan", "Append", "Merge Append", "Subquery Scan", "Result"),
    *("Sort", "Incremental Sort"),  # of one page a branch at most, or within one moment
}
_FAILED = (Status.FAILED,)
_PAGES: list[tuple[dict[str, Any], set[str]]] = [
    ({"status": _FAILED}, {"tasks_status"}),
    ({"status": (Status.FAILED, Status.PENDING)}, {"tasks_status"}),
    ({"name": "name 5"}, {"tasks_name"}),
    ({"user": "u7"}, {"tasks_user"}),
    ({"owner": "u7"}, {"tasks_user"}),
    ({"kind": ("export",)}, {"tasks_kind"}),
    ({"queue": ("q1", "q2")}, {"tasks_queue"}),
    ({"owner": "u7", "status": _FAILED}, {"tasks_rest_user"}),
    ({"name": "name 5", "status": _FAILED}, {"tasks_rest_name"}),
    ({"queue": ("q1", "q2"), "status": (Status.CANCELLED,)}, {"tasks_rest_queue", "tasks_status"}),
]


@pytest.mark.parametrize("number", range(len(_PAGES)), ids=lambda number: "+".join(_PAGES[number][0]))
def test_a_filtered_page_is_read_in_order_from_an_index(filled: psycopg.Connection, number: int) -> None:
    wanted, expected = _PAGES[number]
    text, values = page_statement(TaskQuery(**wanted), None, missing=False, limit=51)
    plan = explained(filled, text, values)
    assert indexes(plan) <= expected
    assert indexes(plan)
    assert kinds(plan) <= _IN_ORDER
    if "Sort" in kinds(plan):
        sorted_rows = [node["Plan Rows"] for node in plan if node["Node Type"] == "Sort"]
        assert max(sorted_rows) <= 51 * len(Status)


@pytest.mark.parametrize("vacuumed", [False, True], ids=["new", "vacuumed"])
def test_appends_look_up_by_key_also_where_their_plan_was_made_while_all_was_empty(
    database_url: str, *, vacuumed: bool
) -> None:
    """What a plan of those days must not do is read all of a table that has filled since: counted by rows fetched."""
    tables = "orakul.tasks, orakul.messages, orakul.cancellations, orakul.events"
    fetched = "SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_xact_user_tables WHERE schemaname = 'orakul'"
    with psycopg.connect(database_url, autocommit=True) as connection:
        if vacuumed:
            connection.execute(f"VACUUM ANALYZE {tables}")  # type: ignore[arg-type]
    journal = PostgresJournal(database_url)
    journal.append([Event(event_type="task.completed", task_id="first")])  # makes the plan, and keeps it
    for part in range(10):
        pending = [Event(event_type="task.pending", task_id=f"t{part}-{number}") for number in range(100)]
        sealed = [Event(event_type="task.message", task_id=event.task_id, data={"sealed": ""}) for event in pending]
        journal.append([*pending, *sealed])

    def count(connection: psycopg.Connection) -> int:
        batch = Batch([Event(event_type="task.completed", task_id=f"t5-{number}") for number in range(5)])
        with connection.transaction():
            before = connection.execute(fetched).fetchone()
            append._call(connection, batch.parameters())
            after = connection.execute(fetched).fetchone()
        assert before is not None
        assert after is not None
        return int(after[0] - before[0])

    assert 0 < journal.connections.run("write", count) < 100


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        (sql.TASK, ("x",), {"tasks_pkey"}),
        (sql.OWNER, ("x",), {"tasks_pkey"}),
        (sql.NAMES, ("n", "o", "o", 20), {"tasks_name", "tasks_rest_name"}),
        (sql.NAMES_OF_OWNER, ("u7", "n", "o", 20), {"tasks_user"}),
        (sql.NEWEST, (), {"batches_pkey"}),
    ],
)
def test_what_is_asked_for_often_is_found_by_index(
    filled: psycopg.Connection, text: str, values: Any, expected: set[str]
) -> None:
    plan = explained(filled, text, values or None)
    assert "Seq Scan" not in kinds(plan)
    assert indexes(plan) <= expected


def test_failures_of_a_name_are_grouped_and_all_of_a_name_counted_in_an_index_alone(
    filled: psycopg.Connection,
) -> None:
    """But for the newest and the oldest of a group, whose rows are shown."""
    plan = explained(filled, *groups_statement(TaskQuery(name="name 5"), 10_001))
    assert "Seq Scan" not in kinds(plan)
    assert indexes(plan) <= {"tasks_error", "tasks_error_name"}
    assert "tasks_error_name" in {node.get("Index Name") for node in plan if node["Node Type"] == "Index Only Scan"}
    plan = explained(filled, *count_statement(TaskQuery(name="name 5"), None, 10_001))
    assert [node["Index Name"] for node in plan if "Index Name" in node] == ["tasks_name"]
    assert "Index Only Scan" in kinds(plan)


def test_a_text_s_frequency_is_read_off_the_latest_words(filled: psycopg.Connection) -> None:
    plan = explained(filled, *sample_statement(TaskQuery(text="'a':*"), 10_000))
    assert indexes(plan) == {"task_words_created"}
    assert "Sort" not in kinds(plan)


def test_the_figures_scan_no_table_of_tasks(filled: psycopg.Connection) -> None:
    for text, values in (
        (sql.SUMMARY, (10_001, 10_001, "")),
        (sql.SUMMARY_OF_OWNER, ("u7", 10_001, "u7", 10_001, "u7")),
        (sql.QUEUES, (500, 10_000, 10_000)),
        (sql.CHILDREN, ("x", "x", 1_000)),
    ):
        scanned = [
            node
            for node in explained(filled, text, values)
            if node["Node Type"] == "Seq Scan" and "Relation Name" in node
        ]
        assert [node["Relation Name"] for node in scanned if node["Relation Name"] == "tasks"] == []
