"""Commands to many tasks at once, on a real broker: exact, abortable, pressed twice, killed in the middle."""

import base64
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from control_fleet import ControlFleet
from kombu import Connection
from servers import wait_for

from orakul.events import Event
from orakul.journals.postgres.bulk import PostgresBulkJobs
from orakul.runners.celery.originals import Original, seal_original
from orakul.tasks import Status, TaskQuery
from orakul.tasks.bulk import BulkJob, BulkWork
from orakul.tasks.sealing import Sealer, secret_in

FAILED = TaskQuery(status=[Status.FAILED], sort="created_at")
MANY = 10_000


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path, spawn: Callable[..., Any]) -> ControlFleet:
    return ControlFleet(database_url, redis_url, tmp_path, spawn)


def fail(fleet: ControlFleet, count: int, queue: str, *, owner: str = "7") -> list[str]:
    """Tell the journal of failed tasks whose messages are kept."""
    sealer = Sealer(secret_in(fleet.data))
    ids = [f"{queue}-{number:05d}" for number in range(count)]
    for start in range(0, count, 1_000):
        events = []
        for task_id in ids[start : start + 1_000]:
            original = Original(
                body=b'[["bulk"], {}, {}]',
                content_type="application/json",
                content_encoding="utf-8",
                headers={"id": task_id, "task": "control_app.quick", "lang": "py"},
                properties={"correlation_id": task_id},
                routing_key=queue,
                queue=queue,
            )
            sealed = base64.b64encode(seal_original(sealer, task_id, original)).decode()
            data = {"kind": "celery", "name": "control_app.quick", "attempt": 1, "run": 0, "queue": queue}
            events += [
                Event(event_type="task.pending", task_id=task_id, user_id=owner, data=data),
                Event(event_type="task.failed", task_id=task_id, user_id=owner, data={"attempt": 1, "run": 0}),
                Event(event_type="task.message", task_id=task_id, data={"attempt": 1, "sealed": sealed}),
            ]
        fleet.journal.append(events)
    return ids


def work_of(fleet: ControlFleet) -> tuple[PostgresBulkJobs, BulkWork]:
    jobs = PostgresBulkJobs(fleet.connections)
    return jobs, BulkWork(jobs, fleet.control, fleet.reader, fleet.journal)


def done(job: BulkJob) -> tuple[str, int, int, int, int]:
    return (job.status, job.total, job.done, job.failed, job.skipped)


def sent(fleet: ControlFleet, queue: str) -> Counter[str]:
    """Return how often each task's message is in the queue."""
    found: Counter[str] = Counter()
    with Connection(fleet.broker) as connection:
        simple = connection.SimpleQueue(queue)
        for _ in range(simple.qsize()):
            message = simple.get(block=True, timeout=5)
            found[message.headers["id"]] += 1
            message.ack()
        simple.close()
    return found


_WORKS = """
import sys
from pathlib import Path
from orakul.journals.postgres import Connections, PostgresBulkJobs, PostgresJournal, PostgresOrders, PostgresReader
from orakul.runners.celery.control import CeleryRunner
from orakul.tasks.bulk import BulkWork
from orakul.tasks.control import Control
from orakul.tasks.sealing import Sealer, secret_in
database, broker, folder = sys.argv[1:]
c = Connections(database, size=12)
o, j, r = PostgresOrders(c), PostgresJournal(c), PostgresReader(c)
control = Control(j, r, o, {"celery": CeleryRunner(broker, Sealer(secret_in(Path(folder))))})
jobs = PostgresBulkJobs(c)
work = BulkWork(jobs, control, r, j)
while jobs.running():  # the server may not know yet that the killed one is gone, and hold its turn
    work.step()
"""


def test_ten_thousand_are_retried_once_each_though_the_process_is_killed_and_the_button_pressed_twice(
    fleet: ControlFleet, database_url: str
) -> None:
    ids = fail(fleet, MANY, "many")
    jobs, _ = work_of(fleet)
    job = jobs.begin("retry", author="ann", owner=None, query=FAILED)
    late = fail(fleet, 1, "late")
    assert jobs.begin("retry", author="ann", owner=None, query=FAILED).job_id == job.job_id

    command = [sys.executable, "-c", _WORKS, database_url, fleet.broker, str(fleet.data)]
    first = subprocess.Popen(command)
    wait_for(lambda: jobs.job(job.job_id).done >= MANY // 10, "some to be retried", timeout=120)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert jobs.job(job.job_id).status == "running"
    assert jobs.job(job.job_id).done < MANY
    subprocess.run(command, check=True, timeout=600)

    assert done(jobs.job(job.job_id)) == ("completed", MANY, MANY, 0, 0)
    found = sent(fleet, "many")
    assert max(found.values()) == 1  # nothing is sent twice
    # What the killed process had committed and not yet sent, nobody sends: it is told as interrupted.
    unsent = set(ids) - set(found)
    assert len(unsent) <= 8
    assert fleet.reader.task(late[0]).status is Status.FAILED
    task = fleet.reader.task(job.job_id)
    assert (task.kind, task.status, task.result) == (
        "bulk",
        Status.COMPLETED,
        {"done": MANY, "failed": 0, "skipped": 0},
    )


def test_a_job_is_aborted_in_the_middle(fleet: ControlFleet) -> None:
    fail(fleet, 250, "half")
    jobs, work = work_of(fleet)
    job = jobs.begin("retry", author="ann", owner=None, query=FAILED)
    while jobs.job(job.job_id).done == 0:
        work.step()
    jobs.abort(job.job_id, "ann")
    while work.step() is not None:
        pass
    status, total, retried, failed, skipped = done(jobs.job(job.job_id))
    assert (status, total, failed, skipped) == ("aborted", 250, 0, 0)
    assert retried == 100
    assert len(sent(fleet, "half")) == 100
    results = jobs.results(job.job_id, limit=250).items
    assert Counter(each.result for each in results) == {"done": 100, None: 150}


def test_of_tasks_that_are_named_each_is_told_what_came_of_it(fleet: ControlFleet) -> None:
    mine = fail(fleet, 2, "mine")
    anothers = fail(fleet, 1, "anothers", owner="8")
    jobs, work = work_of(fleet)
    job = jobs.begin("retry", author="7", owner="7", task_ids=[*mine, *anothers, "nothing"], reason="repaired")
    fleet.control.retry(mine[1], author="bob")
    while work.step() is not None:
        pass
    results = jobs.results(job.job_id).items
    assert [(each.task_id, each.result) for each in results] == [
        (mine[0], "done"), (mine[1], "skipped"), (anothers[0], "skipped"), ("nothing", "skipped"),
    ]  # fmt: skip
    assert "pending" in (results[1].said or "")
    assert fleet.reader.task(anothers[0]).status is Status.FAILED
    [asked] = [each for each in fleet.reader.history(mine[0]).items if each.status is None]
    assert (asked.author, asked.reason) == ("7", "repaired")
