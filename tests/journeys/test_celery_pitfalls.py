"""Every row of what monitors get wrong about Celery ends in its true state: real workers, each pool, over Redis."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fleets import Fleet
from servers import wait_for

from orakul.tasks import Status, Task

pytestmark = pytest.mark.slow

POOLS = {
    "prefork": ("--pool=prefork", "--concurrency=2"),
    "threads": ("--pool=threads", "--concurrency=2"),
    "gevent": ("--pool=gevent", "--concurrency=2"),
    "solo": ("--pool=solo",),
}
# Children that were killed leave Celery's count of free slots too high: this one is for a law about waiting.
FRESH = {"fresh prefork": POOLS["prefork"]}


@pytest.fixture(scope="module")
def module_database(postgres: Any, migrated_template: str) -> Iterator[str]:
    """One migrated database for the whole module: its workers are shared by its tests."""
    name = f"orakul_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"')  # type: ignore[arg-type]
    yield postgres.url.rpartition("/")[0] + "/" + name
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fleets(
    module_database: str, redis: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Fleet]]:
    """A fleet with one worker by the pool's name, started when first asked for."""
    started: dict[str, Fleet] = {}

    def fleet(pool: str) -> Fleet:
        if pool not in started:
            address = redis.url.rpartition("/")[0]
            made = Fleet(
                tmp_path_factory.mktemp(pool.replace(" ", "-")),
                module_database,
                f"{address}/5",
                app="pitfalls",
                backend=f"{address}/6",
            )
            started[pool] = made
            made.worker(*(POOLS | FRESH)[pool], "-Q", made.queue)
        return started[pool]

    yield fleet
    for each in started.values():
        each.close()


@pytest.fixture(params=list(POOLS))
def fleet(request: pytest.FixtureRequest, fleets: Callable[[str], Fleet]) -> Fleet:
    """The fleet of each pool in turn."""
    return fleets(request.param)


@pytest.fixture
def prefork(fleets: Callable[[str], Fleet]) -> Fleet:
    """The fleet with child processes."""
    return fleets("prefork")


def statuses(fleet: Fleet, task_id: str) -> list[Status]:
    return [change.status for change in fleet.history(task_id) if change.status is not None]


def failed_once(fleet: Fleet, task_id: str) -> None:
    time.sleep(1)  # a second report would come now
    assert statuses(fleet, task_id).count(Status.FAILED) == 1, fleet.history(task_id)


# --- what every pool does ---


def test_a_task_is_seen_waiting_running_and_done(fleet: Fleet) -> None:
    """Each pool tells of a plain task: pending, in progress on its worker, completed with its result."""
    task = fleet.ended(fleet.send("add.delay(2, y=3)"))
    assert (task.status, task.result, task.attempt, task.run) == (Status.COMPLETED, 5, 1, 0)
    assert (task.kind, task.name, task.queue, task.worker) == ("celery", "pitfalls.add", fleet.queue, "w0@test")
    assert task.arguments == {"args": [2], "kwargs": {"y": 3}}
    assert task.created_at <= task.started_at <= task.finished_at  # type: ignore[operator]
    assert statuses(fleet, task.task_id) == [Status.PENDING, Status.IN_PROGRESS, Status.COMPLETED]


def test_an_exception_ends_a_task_with_its_traceback_and_place(fleet: Fleet) -> None:
    """A failed task says what was raised, where, and masks a secret argument wherever its value shows."""
    task = fleet.ended(fleet.send("fail.delay('hunter2-hunter2', note='really')"))
    assert task.status is Status.FAILED
    assert task.error is not None
    assert task.error.type == "ValueError"
    assert task.error.message == "order 7 refused, ••• really"
    assert "in fail" in (task.error.traceback or "")
    assert (task.error.place or "").endswith(" fail")
    assert task.arguments == {"args": ["•••"], "kwargs": {"note": "really"}}
    logs = wait_for(lambda: fleet.reader.logs(task.task_id).items, "the log line")
    assert [line.message for line in logs] == ["charging with •••"]  # type: ignore[attr-defined]
    assert "hunter2" not in repr((task, logs, fleet.history(task.task_id)))


def test_celery_retries_are_attempts(fleet: Fleet) -> None:
    """Each retry is an attempt: failed and pending again, until it works or none is left."""
    works, never = fleet.send("flaky.delay(2)"), fleet.send("flaky.delay()")
    task = fleet.until(works, Status.COMPLETED)
    assert (task.attempt, task.result) == (2, 1)
    task = fleet.until(never, Status.FAILED, attempt=3)
    assert task.error is not None
    assert (task.error.type, task.error.message) == ("ConnectionError", "nobody there")
    pending = [change.attempt for change in fleet.history(never) if change.status is Status.PENDING]
    failed = [change.attempt for change in fleet.history(never) if change.status is Status.FAILED]
    assert (sorted(pending), sorted(failed)) == ([1, 2, 3], [1, 2, 3])
    assert task.parent_id is None  # not its own child


def test_ignore_is_an_end(fleet: Fleet) -> None:
    """`raise Ignore()` tells Celery to keep no state; here the task has ended, as ignored."""
    task = fleet.ended(fleet.send("ignore.delay()"))
    assert (task.status, task.outcome) == (Status.COMPLETED, "ignored")


@pytest.mark.parametrize("name", ["reject", "reject_late"])
def test_reject_is_an_end(fleet: Fleet, name: str) -> None:
    """A message rejected without requeueing never runs again: failed, as rejected, told once."""
    task = fleet.ended(fleet.send(f"{name}.delay()"))
    assert (task.status, task.outcome) == (Status.FAILED, "rejected")
    assert task.error is not None
    assert "no good" in task.error.message


def test_a_requeued_message_waits_again_and_is_a_new_run(fleet: Fleet, tmp_path: Path) -> None:
    """Reject(requeue=True): pending again, then a further run of the same attempt."""
    task_id = fleet.send(f"requeue_once.delay({str(tmp_path / 'mark')!r})")
    task = fleet.until(task_id, Status.COMPLETED)
    assert (task.attempt, task.result) == (1, "after requeue")
    assert task.run > 1_700_000_000_000
    assert statuses(fleet, task_id).count(Status.IN_PROGRESS) == 2


def test_what_replaces_a_task_goes_on_under_its_id(fleet: Fleet) -> None:
    """`self.replace()`: the same id under the other name, as the next attempt, never ended in between."""
    task = fleet.ended(fleet.send("replace.delay(3)"), attempt=2)
    assert (task.status, task.name, task.result, task.attempt) == (Status.COMPLETED, "pitfalls.add", 4, 2)
    assert statuses(fleet, task.task_id).count(Status.COMPLETED) == 1


def test_a_task_replaced_by_a_group_waits_for_it(fleet: Fleet) -> None:
    """Replaced by a group after a retry: the id ends with what gathers the group, in a later attempt."""
    task_id = fleet.send("replace_by_group.delay(5)")
    task = fleet.until(task_id, Status.COMPLETED, attempt=3)
    assert (task.name, task.result, task.attempt) == ("celery.accumulate", [5, 6, 7], 3)


def test_the_tree_and_the_owner(fleet: Fleet) -> None:
    """Children know their parent and root, groups their id; the owner is inherited, and nobody else's."""
    root = fleet.publish("with orakul.as_user(7):\n    result = spawner.delay(1).id")
    fleet.until(root, Status.COMPLETED)
    children = wait_for(lambda: _finished(fleet.reader.children(root).items, 6), "six children", timeout=30)
    assert {task.user_id for task in children} == {"7"}  # type: ignore[attr-defined]
    assert {task.root_id for task in children} == {root}  # type: ignore[attr-defined]
    by_name = sorted(task.name for task in children)  # type: ignore[attr-defined]
    assert by_name == ["pitfalls.add"] * 5 + ["pitfalls.total"]
    groups = [task.group_id for task in children if task.name == "pitfalls.add"]  # type: ignore[attr-defined]
    assert sorted(groups.count(group) for group in set(groups)) == [1, 2, 2]
    assert fleet.reader.task(root).user_id == "7"
    assert fleet.ended(fleet.send("add.delay(1, 1)")).user_id is None


def _finished(tasks: list[Task], number: int) -> list[Task]:
    return tasks if len(tasks) == number and all(task.status is Status.COMPLETED for task in tasks) else []


def test_a_chain_is_a_line(fleet: Fleet) -> None:
    """In a chain each task is the child of the one before it, and the first is the root of all."""
    ids = fleet.publish(
        "r = (add.s(1, 1) | add.s(2) | add.s(3)).delay()\nresult = [r.parent.parent.id, r.parent.id, r.id]"
    )
    last = fleet.until(ids[2], Status.COMPLETED)
    middle = fleet.reader.task(ids[1])
    assert (last.result, last.parent_id, middle.parent_id) == (7, ids[1], ids[0])
    assert {last.root_id, middle.root_id} == {ids[0]}


def test_an_expired_task_is_cancelled(fleet: Fleet) -> None:
    """A task that expired before its start is cancelled, as expired."""
    task = fleet.ended(fleet.send("add.apply_async((1, 1), expires=-1)"))
    assert (task.status, task.outcome, task.started_at) == (Status.CANCELLED, "expired", None)


def test_an_unknown_task_fails(fleet: Fleet) -> None:
    """A name that no worker knows is a failure that says so."""
    task = fleet.ended(fleet.send("app.send_task('nobody.knows', (1,))"))
    assert task.status is Status.FAILED
    assert task.name == "nobody.knows"
    assert task.error is not None
    assert "nobody.knows" in task.error.message


def test_an_undecodable_message_breaks_nothing(fleet: Fleet) -> None:
    """Nonsense in the queue, or in a task's body, stops neither the worker nor the recording."""
    task_id = str(uuid.uuid4())
    fleet.publish(f"""
with app.producer_pool.acquire() as producer:
    options = dict(exchange='', routing_key={fleet.queue!r}, content_encoding='utf-8')
    producer.publish(b'nonsense', content_type='application/json', **options)
    for name, content in (({task_id!r}, 'application/json'), ('other', 'application/unheard')):
        headers = {{'task': 'pitfalls.add', 'id': name}}
        producer.publish(b'{{{{', content_type=content, headers=headers, **options)
""")
    task = fleet.ended(task_id)
    assert task.status is Status.FAILED
    assert fleet.ended(fleet.send("add.delay(1, 2)")).result == 3


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])  # it ends a solo worker itself
def test_a_bug_in_the_task_machinery_is_a_failure(fleets: Callable[[str], Fleet], pool: str) -> None:
    """A handler of Celery's that raises (an internal error) leaves the task failed."""
    fleet = fleets(pool)
    task = fleet.ended(fleet.send("breaks_celery.delay()"))
    assert task.status is Status.FAILED
    assert task.error is not None
    assert task.error.message in {"first", "the handler broke too"}


def test_the_log_of_a_task_is_beside_it(fleet: Fleet) -> None:
    """Lines of the task's logger, of others, and what it prints, once each, in order."""
    task = fleet.ended(fleet.send("talk.delay()"))
    lines = wait_for(lambda: (found := fleet.reader.logs(task.task_id).items)[4:] and found, "five lines")
    expected = [
        ("info", "line 0"),
        ("info", "line 1"),
        ("info", "line 2"),
        ("warning", "careful"),
        ("warning", "printed"),
    ]
    assert [(line.level, line.message) for line in lines] == expected  # type: ignore[attr-defined]


def test_endless_logging_is_cut_with_a_note(prefork: Fleet) -> None:
    """A task that logs without end keeps its first thousand lines, and the last one says so."""
    task = prefork.ended(prefork.send("talk.delay(3000)"))
    lines = wait_for(lambda: (found := prefork.reader.logs(task.task_id, limit=5000).items)[1000:] and found, "the log")
    assert len(lines) == 1001  # type: ignore[arg-type]
    assert "cut here" in lines[-1].message  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("nan", "nan"),
        ("money", "1.10"),
        ("when", "2026-01-01T00:00:00+00:00"),
        ("nul", "a\N{SYMBOL FOR NULL}b"),
        ("html", "<script>alert(1)</script>"),
        ("integer", str(2**70)),
    ],
)
def test_odd_results_are_shown_safely(prefork: Fleet, kind: str, shown: Any) -> None:
    """What JSON does not have is shown as text."""
    task = prefork.ended(prefork.publish(f"result = strange.apply_async(({kind!r},), serializer='pickle').id"))
    assert (task.status, task.result) == (Status.COMPLETED, shown)


@pytest.mark.parametrize(("kind", "note"), [("big", "more characters"), ("deep", "too deep"), ("list", "more items")])
def test_huge_results_are_cut_with_a_note(prefork: Fleet, kind: str, note: str) -> None:
    """Fifty megabytes, a thousand levels, a hundred thousand items: the head, and a note of the rest."""
    task = prefork.ended(prefork.send(f"strange.apply_async(({kind!r},), ignore_result=True)"), timeout=40)
    assert task.status is Status.COMPLETED
    assert note in str(task.result)
    assert len(str(task.result)) < 70_000


# --- what pools do differently ---


def test_a_killed_child_is_a_failure(prefork: Fleet) -> None:
    """A pool child that dies by SIGKILL fails its task: worker lost."""
    task = prefork.ended(prefork.send("kill_child.delay()"))
    assert task.status is Status.FAILED
    assert task.error is not None
    assert "WorkerLostError" in task.error.type


def test_a_killed_child_whose_message_goes_back_runs_again(prefork: Fleet, tmp_path: Path) -> None:
    """`acks_late` with `reject_on_worker_lost`: the same attempt, a second run, and that one counts."""
    task_id = prefork.send(f"kill_child_once.delay({str(tmp_path / 'mark')!r})")
    task = prefork.until(task_id, Status.COMPLETED)
    assert (task.result, task.attempt) == ("second run", 1)
    assert task.run > 0
    assert Status.FAILED not in statuses(prefork, task_id)


@pytest.mark.parametrize("call", ["exit_process.delay()", "exit_process.delay(0)", "os_exit.delay()"])
def test_a_task_that_ends_its_process_fails(prefork: Fleet, call: str) -> None:
    """`sys.exit()` and `os._exit()` in a task end in a failure, never in a task that runs for ever."""
    assert prefork.ended(prefork.send(call)).status is Status.FAILED


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_sys_exit_fails_where_there_is_no_process_to_end(fleets: Callable[[str], Fleet], pool: str) -> None:
    """In a thread or greenlet `sys.exit()` ends nothing but the task, and Celery forgets it; here it has failed."""
    fleet = fleets(pool)
    task = fleet.ended(fleet.send("exit_process.delay()"))
    assert task.status is Status.FAILED
    assert task.error is not None
    assert task.error.type == "SystemExit"
    assert fleet.ended(fleet.send("add.delay(1, 2)")).result == 3


def test_a_hard_time_limit_is_one_failure(prefork: Fleet) -> None:
    """Celery tells of a hard limit twice; the history has it once."""
    task = prefork.ended(prefork.send("too_long.delay()"))
    assert task.status is Status.FAILED
    assert task.error is not None
    assert "TimeLimitExceeded" in task.error.type
    failed_once(prefork, task.task_id)


def test_a_soft_time_limit_is_a_failure(prefork: Fleet) -> None:
    """A soft limit is an exception in the task like others."""
    task = prefork.ended(prefork.send("soft_limit.delay()"))
    assert task.status is Status.FAILED
    assert task.error is not None
    assert "SoftTimeLimitExceeded" in task.error.type


@pytest.mark.parametrize(
    ("pool", "status", "outcome"),
    [
        ("prefork", Status.CANCELLED, "terminated"),
        ("gevent", Status.CANCELLED, "terminated"),
        ("threads", Status.COMPLETED, None),
    ],
)
def test_terminating_a_running_task(
    fleets: Callable[[str], Fleet], pool: str, status: Status, outcome: str | None
) -> None:
    """`revoke(terminate=True)` stops a child and a greenlet; a thread runs to its end, and the state says so."""
    fleet = fleets(pool)
    task_id = fleet.send("nap.delay(3)")
    fleet.until(task_id, Status.IN_PROGRESS)
    fleet.publish(f"app.control.revoke({task_id!r}, terminate=True)")
    task = fleet.ended(task_id)
    assert (task.status, task.outcome) == (status, outcome)
    time.sleep(1)
    assert fleet.reader.task(task_id).status is status


@pytest.mark.parametrize(
    ("pool", "status"),
    [("fresh prefork", Status.CANCELLED), ("gevent", Status.COMPLETED), ("threads", Status.COMPLETED)],
)
def test_revoking_a_task_that_waits_for_the_pool(fleets: Callable[[str], Fleet], pool: str, status: Status) -> None:
    """A plain revoke of Celery's reaches a waiting task on prefork only; the true state is told in either case."""
    fleet = fleets(pool)
    busy = [fleet.send("nap.delay(4)") for _ in range(2)]
    for task_id in busy:
        fleet.until(task_id, Status.IN_PROGRESS)
    waits = fleet.send("nap.delay(0)")
    time.sleep(0.3)
    fleet.publish(f"app.control.revoke({waits!r})")
    task = fleet.ended(waits)
    assert task.status is status
    assert task.outcome == ("revoked" if status is Status.CANCELLED else None)


def test_revoking_a_task_that_waits_for_its_time(fleet: Fleet) -> None:
    """A task with an ETA is cancelled once its time comes; until then it waits, with its ETA."""
    task_id = fleet.send("add.apply_async((1, 1), countdown=2)")
    task = fleet.until(task_id, Status.PENDING)
    assert task.eta is not None
    time.sleep(0.5)
    fleet.publish(f"app.control.revoke({task_id!r})")
    task = fleet.ended(task_id)
    assert (task.status, task.outcome) == (Status.CANCELLED, "revoked")


def test_a_solo_worker_is_seen_at_work(fleets: Callable[[str], Fleet]) -> None:
    """A solo worker tells of a task while it runs it, not after."""
    fleet = fleets("solo")
    task_id = fleet.send("nap.delay(2)")
    assert fleet.until(task_id, Status.IN_PROGRESS, timeout=1.5).worker == "w0@test"
    assert fleet.ended(task_id).status is Status.COMPLETED


@pytest.mark.parametrize("header", ["fail.s('a')", "(fail.s('a') | show.s())"], ids=["task", "chain"])
def test_the_body_of_a_chord_whose_header_fails_has_failed_too(prefork: Fleet, header: str) -> None:
    """Celery only tells whoever asks for its result; here it says which task of the header it was."""
    body = prefork.ended(prefork.send(f"chord([add.s(1, 1), {header}])(total.s())"))
    assert (body.status, body.name, body.started_at) == (Status.FAILED, "pitfalls.total", None)
    assert body.error is not None
    assert body.error.type == "celery.exceptions.ChordError"
    assert "of its header failed: pitfalls.fail" in body.error.message
