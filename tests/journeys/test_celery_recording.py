"""What is recorded of a Celery application besides states: owners, originals, secrets; and that it disturbs nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu.serialization
import pytest
from fleets import Fleet
from servers import free_port, wait_for

from orakul.journals.postgres import PostgresJournal, PostgresOrders
from orakul.runners.celery.originals import Original, open_original
from orakul.tasks import Status
from orakul.tasks.leases import Reaper
from orakul.tasks.sealing import Sealer, secret_in

pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Fleet]:
    """A fleet over Redis, without workers yet."""
    made = Fleet(tmp_path, database_url, redis_url, app="pitfalls", backend=redis_url)
    yield made
    made.close()


def original(fleet: Fleet, task_id: str) -> Original | None:
    """Return the kept original message of a task."""
    sealed = fleet.orders.message(task_id)
    return open_original(Sealer(secret_in(fleet.data)), task_id, sealed) if sealed else None


def test_owners_follow_the_work(fleet: Fleet) -> None:
    """A header, the surrounding `as_user`, a retry, a child, a child for somebody else: each has its right owner."""
    fleet.worker("-c1", "-Q", fleet.queue)
    by_header = fleet.send("add.apply_async((1, 1), headers={'orakul_user': 'h1'}, priority=3)")
    task = fleet.until(fleet.send("add.delay(1, 2)"), Status.COMPLETED)
    assert task.user_id is None
    task_id = fleet.publish("with orakul.as_user('u1'):\n    result = retry_for.delay('u2').id")
    task = fleet.until(task_id, Status.COMPLETED)
    assert (task.user_id, task.attempt) == ("u1", 2)
    child = fleet.until(task.result, Status.COMPLETED)
    assert (child.user_id, child.parent_id) == ("u2", task_id)
    task = fleet.until(by_header, Status.COMPLETED)
    assert (task.user_id, task.priority) == ("h1", 3)


def test_the_original_message_is_kept_as_it_came(fleet: Fleet) -> None:
    """Whatever the serializer and the compression, the kept message has the body's bytes and the right routing."""
    fleet.worker("-c1", "-Q", fleet.queue)
    kombu.serialization.register(
        "rot", None, lambda text: json.loads(text[::-1]), content_type="application/x-rot", content_encoding="utf-8"
    )
    for options in ("serializer='json'", "serializer='pickle'", "serializer='rot'", "compression='zlib'"):
        call = f"fail.apply_async(('hunter2-hunter2',), {{'note': 'n'}}, {options}, headers={{'mine': 'x'}})"
        task_id = fleet.send(call)
        fleet.until(task_id, Status.FAILED)
        kept = wait_for(lambda task_id=task_id: original(fleet, task_id), f"the message ({options})")
        assert isinstance(kept, Original)
        body = kept.body.decode() if kept.is_text else kept.body
        args, kwargs, _ = kombu.serialization.loads(
            body, kept.content_type, kept.content_encoding, accept=None, force=True
        )
        assert (list(args), kwargs) == (["hunter2-hunter2"], {"note": "n"})
        assert (kept.queue, kept.routing_key, kept.headers["mine"]) == (fleet.queue, fleet.queue, "x")
        assert kept.headers["id"] == kept.properties["correlation_id"] == task_id
        assert not {"args", "kwargs", "hostname", "delivery_info", "orakul_run"} & set(kept.headers)
        assert b"hunter2" not in (fleet.orders.message(task_id) or b"")
    unknown = fleet.send("app.send_task('nobody.knows', (1,))")
    fleet.until(unknown, Status.FAILED)
    assert wait_for(lambda: original(fleet, unknown), "the message of an unknown task")


def test_messages_are_not_kept_where_the_settings_say_so(fleet: Fleet) -> None:
    """With `keep_messages` off, no message is stored."""
    fleet.environment["ORAKUL_CELERY_KEEP_MESSAGES"] = "false"
    fleet.worker("-c1", "-Q", fleet.queue)
    task = fleet.until(fleet.send("fail.delay()"), Status.FAILED)
    time.sleep(0.5)
    assert fleet.orders.message(task.task_id) is None


def test_secrets_are_masked_whoever_publishes(fleet: Fleet) -> None:
    """A task known to the worker only, by name; one from a publisher that knows nothing of Orakul; protocol 1."""
    fleet.environment["APP_HIDDEN"] = ""
    fleet.worker("-c1", "-Q", fleet.queue, APP_HIDDEN="1")
    task = fleet.until(fleet.send("app.send_task('pitfalls.hidden', ('anna', 'hunter2-hunter2'))"), Status.COMPLETED)
    assert task.arguments == {"args": ["anna", "•••"], "kwargs": {}}
    code = f"""
import os, sys
from celery import Celery
app = Celery(broker=os.environ["APP_BROKER"])
app.conf.task_protocol = int(sys.argv[1])
print(app.send_task("pitfalls.fail", ("hunter2-hunter2",), queue={fleet.queue!r}).id)
"""
    for protocol in ("2", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code, protocol], env=fleet.environment, capture_output=True, text=True, check=True
        )
        task = fleet.until(done.stdout.strip(), Status.FAILED)
        assert task.arguments == {"args": ["•••"], "kwargs": {}}
        assert "hunter2" not in repr((task, fleet.history(task.task_id)))
        assert fleet.history(task.task_id)[0].status is Status.PENDING
        kept = original(fleet, task.task_id)
        assert kept is not None
        assert "hunter2" in repr(kept.body)


def test_a_publish_that_fails_leaves_no_ghost(fleet: Fleet) -> None:
    """Where the broker is away, `apply_async` raises as ever, and no task waits for ever."""
    fleet.environment["APP_BROKER"] = f"redis://127.0.0.1:{free_port()}/0"
    code = """
add.app.conf.broker_transport_options = {"socket_connect_timeout": 1}
try:
    add.apply_async((1, 1), task_id="ghost", retry=False)
    result = "sent"
except Exception as error:
    result = type(error).__name__
"""
    assert fleet.publish(code) == "OperationalError"
    time.sleep(0.5)
    assert fleet.task("ghost") is None


def test_an_eager_task_is_seen_too(fleet: Fleet) -> None:
    """`apply()` runs on the spot, in no worker: recorded with its arguments, state and result."""
    task = fleet.until(fleet.send("add.apply((2, 3))"), Status.COMPLETED)
    assert (task.worker, task.result, task.arguments) == (None, 5, {"args": [2, 3], "kwargs": {}})


@pytest.mark.parametrize("broken", ["setting", "data", "database"])
def test_what_is_broken_of_ours_does_not_disturb_the_work(fleet: Fleet, broken: str, tmp_path: Path) -> None:
    """A wrong setting, a data folder that cannot be, a database that is away: the tasks run as without Orakul."""
    file = tmp_path / "file"
    file.touch()
    fleet.environment |= {
        "setting": {"ORAKUL_NO_SUCH_SETTING": "1"},
        "data": {"ORAKUL_DATA": str(file / "data")},
        "database": {"ORAKUL_DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/none"},
    }[broken]
    worker = fleet.worker("-c1", "-Q", fleet.queue)
    began = time.monotonic()
    assert fleet.publish("result = add.delay(2, 3).get(timeout=10)") == 5
    assert fleet.publish("result = type(fail.delay().get(propagate=False, timeout=10)).__name__") == "ValueError"
    assert time.monotonic() - began < 10
    if broken != "database":
        assert "Orakul does not record" in worker.text()


def test_a_worker_without_a_database_leaves_the_shipping_to_others(fleet: Fleet) -> None:
    """Without an address of a database a worker only writes to the spool; whoever shares the data folder ships it."""
    url = fleet.environment.pop("ORAKUL_DATABASE_URL")
    fleet.worker("-c1", "-Q", fleet.queue)
    fleet.environment["ORAKUL_DATABASE_URL"] = url
    task = fleet.until(fleet.send("add.delay(1, 2)"), Status.COMPLETED)
    assert task.result == 3


def test_of_a_killed_worker_nothing_is_lost_and_its_tasks_end(fleet: Fleet, database_url: str) -> None:
    """After kill -9 of a whole worker what it recorded arrives, and its task fails as lost, with its original kept."""
    worker = fleet.worker("-c1", "-Q", fleet.queue)
    done = [fleet.send("add.delay(1, 2)") for _ in range(20)]
    task_id = fleet.send("nap.delay(60)")
    fleet.until(task_id, Status.IN_PROGRESS)
    worker.kill9(group=True)
    for each in done:
        fleet.until(each, Status.COMPLETED)
    reaper = Reaper(PostgresJournal(database_url), PostgresOrders(database_url), lease_seconds=3)
    wait_for(lambda: reaper.sweep() or None, "the lease to end", timeout=20, every=0.5)
    task = fleet.until(task_id, Status.FAILED)
    assert task.error is not None
    assert "lost" in task.error.message.lower() or "lost" in task.error.type.lower()
    assert original(fleet, task_id) is not None


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_rabbitmq_runs_the_task_of_a_killed_worker_again(
    pool: str, tmp_path: Path, database_url: str, rabbitmq_url: str
) -> None:
    """With late acknowledgement RabbitMQ delivers it again: a new run of the same attempt, and that one counts."""
    fleet = Fleet(tmp_path, database_url, rabbitmq_url, app="pitfalls")
    try:
        first = fleet.worker(f"--pool={pool}", "-c1", "-Q", fleet.queue)
        task_id = fleet.send("nap_late.delay(3)")
        fleet.until(task_id, Status.IN_PROGRESS)
        first.kill9(group=True)
        fleet.worker(f"--pool={pool}", "-c1", "-Q", fleet.queue)
        task = fleet.until(task_id, Status.COMPLETED, timeout=30)
        assert (task.attempt, task.worker) == (1, "w1@test")
        assert task.run > 0
    finally:
        fleet.close()


def test_sys_exit_in_a_solo_worker_fails_the_task(fleet: Fleet) -> None:
    """A solo worker is ended by its task; the task has failed all the same."""
    fleet.worker("--pool=solo", "-Q", fleet.queue)
    assert fleet.until(fleet.send("exit_process.delay()"), Status.FAILED).error is not None


def test_a_worker_says_that_it_lives_and_that_it_goes(fleet: Fleet) -> None:
    """Online with pool and queues, heartbeats, and offline at a warm shutdown."""
    worker = fleet.worker("-c1", "-Q", fleet.queue)

    def known() -> Any:
        return next((each for each in fleet.orders.workers() if each.worker == "w0@test"), None)

    found = wait_for(known, "the worker")
    assert (found.kind, found.pool, found.concurrency) == ("celery", "prefork", 1)  # type: ignore[attr-defined]
    assert list(found.queues) == [fleet.queue]  # type: ignore[attr-defined]
    seen = found.last_seen  # type: ignore[attr-defined]
    wait_for(lambda: known().last_seen > seen, "a heartbeat", timeout=15)
    worker.stop()
    wait_for(lambda: known().status == "offline", "its good-bye")


def test_the_lines_of_the_spool_are_gone_once_shipped(fleet: Fleet) -> None:
    """After the worker's end its spool is empty: all of it is in the journal."""
    worker = fleet.worker("-c2", "-Q", fleet.queue)
    ids = fleet.publish("result = [add.delay(n, n).id for n in range(200)]")
    fleet.publish("import time; time.sleep(0.5)")
    fleet.until(ids[-1], Status.COMPLETED)
    worker.stop()
    wait_for(lambda: not _events_in(fleet.data / "spool", worker.pid), "an empty spool")
    for each in ids:
        assert fleet.reader.task(each).status is Status.COMPLETED


def _events_in(spool: Path, pid: int) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in spool.glob(f"*-{pid}-*.jsonl")
        for line in path.read_text().splitlines()
        if line.endswith("}")
    ]
