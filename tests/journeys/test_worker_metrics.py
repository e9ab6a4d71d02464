"""A worker tells Prometheus what became of each task: all of it, whatever happens to its processes."""

import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import free_port, wait_for
from prometheus_client.parser import text_string_to_metric_families
from stacks import Stack

MakeStack = Callable[..., Stack]


def figures(port: int) -> dict[tuple[str, ...], float]:
    """Return what is served: by name and the values of the labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ended(port: int) -> dict[tuple[str, str], float]:
    """Return how many runs ended, by name and outcome."""
    told = figures(port)
    return {
        (key[1].removeprefix("measured."), key[2]): figure
        for key, figure in told.items()
        if figure and key[0] == "orakul_worker_tasks_total"
    }


def inode_of(pid: int, port: int) -> str:
    """Return the inode of the socket that a process listens at."""
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
            return fields[9]
    raise AssertionError(f"nobody listens at {port}")


def holds(pid: int, inode: str) -> bool:
    """Say whether a process has that socket open."""
    return any(link_of(each) == f"socket:[{inode}]" for each in Path(f"/proc/{pid}/fd").iterdir())


def link_of(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_each_end_is_counted_once(make_stack: MakeStack, pool: str) -> None:
    stack = make_stack()
    port = free_port()
    stack.worker("measured", "--pool", pool, "--concurrency", "2", "--queues", "celery,mail",
                 ORAKUL_CELERY_METRICS_PORT=str(port))  # fmt: skip
    stack.publish(
        "measured",
        "from measured import *\n"
        "for n in range(20): add.delay(n, 1)\n"
        "for n in range(5): fail.delay()\n"
        "for n in range(3): flaky.delay()\n"
        "for n in range(4): post.delay('x')\n"
        "ignore.delay(); reject.delay(); add.apply_async((1, 1), expires=-1); app.send_task('measured.nowhere')",
    )
    expected = {
        ("add", "completed"): 20,
        ("add", "expired"): 1,
        ("fail", "failed"): 5,
        ("flaky", "retried"): 3,
        ("flaky", "completed"): 3,
        ("post", "completed"): 4,
        ("ignore", "ignored"): 1,
        ("reject", "rejected"): 1,
        ("nowhere", "unregistered"): 1,
    }
    wait_for(lambda: sum(ended(port).values()) >= sum(expected.values()), "all tasks to end", 40)
    assert ended(port) == expected
    told = figures(port)
    assert told["orakul_worker_task_seconds_count", "measured.add"] == 20
    assert told["orakul_worker_waiting_seconds_count", "mail"] == 4
    assert told["orakul_worker_received_total", "mail"] == 4
    assert told["orakul_worker_tasks", "running"] == 0
    assert told["orakul_recorder_events_total",] > 0
    assert told["orakul_worker_cpu_seconds_total", "main"] > 0
    if pool == "prefork":
        assert told["orakul_worker_memory_bytes", "child 2"] > 0


def test_a_killed_child_costs_no_count_and_leaves_nothing_behind(make_stack: MakeStack) -> None:
    stack = make_stack()
    port = free_port()
    worker = stack.worker("measured", "--concurrency", "2", ORAKUL_CELERY_METRICS_PORT=str(port))

    def publish(code: str) -> Any:
        return stack.publish("measured", f"from measured import *\n{code}")

    publish("for n in range(30): add.delay(n, 1)")
    wait_for(lambda: ended(port).get(("add", "completed")) == 30, "the first tasks", 40)
    place = stack.folder / "napping"
    publish(f"nap.delay(60, {str(place)!r}); die.delay(); overrun.delay()")
    wait_for(lambda: ended(port).get(("die", "lost")) == 1, "a child to be lost", 40)
    wait_for(lambda: ended(port).get(("overrun", "timed_out")) == 1, "a child to be killed for its time limit", 40)
    assert figures(port)["orakul_worker_tasks", "running"] == 1
    os.kill(int(place.read_text()), signal.SIGKILL)
    wait_for(lambda: ended(port).get(("nap", "lost")) == 1, "the busy child to be lost", 40)
    publish("for n in range(10): add.delay(n, 1)")
    wait_for(lambda: ended(port).get(("add", "completed")) == 40, "all counts to be whole after that", 40)
    # Children are known by their place: those that took the places of the dead make no further series.
    processes = {key[1] for key in figures(port) if key[0] == "orakul_worker_memory_bytes"}
    assert processes == {"main", "child 1", "child 2"}
    # A child does not hold the port of a worker that is gone.
    children = [int(pid) for pid in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]
    assert len(children) >= 2
    listening = [inode_of(worker.pid, port)]
    assert listening[0]
    assert not any(holds(pid, listening[0]) for pid in children)


def test_a_taken_port_is_a_warning_and_the_worker_works(make_stack: MakeStack) -> None:
    stack = make_stack()
    port = free_port()
    stack.worker("measured", "--pool", "solo", "--queues", "one", ORAKUL_CELERY_METRICS_PORT=str(port))
    second = stack.worker("measured", "--pool", "solo", "--queues", "other", ORAKUL_CELERY_METRICS_PORT=str(port))
    assert f"No metrics: 127.0.0.1:{port} cannot be listened on" in second.text()
    task_id = stack.publish("measured", "result = measured.add.apply_async((1, 2), queue='other').id")
    stack.wait_for_task(task_id, status="completed")
