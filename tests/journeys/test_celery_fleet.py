"""A second real application, over RabbitMQ: of 20,000 tasks none is missing, each in its state and attempt."""

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fleets import Fleet
from servers import wait_for

TASKS = 20_000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fleet_on_rabbitmq_is_told_of_whole(
    database_url: str, rabbitmq_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Two queues, chords, ETAs, retries, killed children, time limits: 0 of 20,000 missing."""
    fleet = Fleet(tmp_path, database_url, rabbitmq_url, app="shop", backend=redis_url)
    fleet.environment["APP_MARKS"] = str(tmp_path)
    try:
        fleet.worker("--concurrency=2", "-Q", "orders")
        fleet.worker("--concurrency=2", "-Q", "reports", "--pool=threads")
        began = time.monotonic()
        expected = fleet.publish(f"result = publish({TASKS})")
        assert len(expected) == TASKS
        print(f"published in {time.monotonic() - began:.0f} s")
        with psycopg.connect(database_url, autocommit=True) as connection:
            wait_for(lambda: _open(connection, len(expected)) == 0, "all tasks to end", timeout=400, every=0.5)
            print(f"all had ended after {time.monotonic() - began:.0f} s")
            rows = connection.execute(
                "SELECT task_id, status, attempt, queue, worker, run FROM orakul.tasks"
            ).fetchall()
    finally:
        fleet.close()
    found = {row[0]: list(row[1:3]) for row in rows}
    wrong = {key: (value, found.get(key)) for key, value in expected.items() if found.get(key) != value}
    assert not wrong, f"{len(wrong)} of {len(expected)}: {list(wrong.items())[:10]}"
    assert set(found) == set(expected)
    assert {(row[3], row[4]) for row in rows} == {("orders", "w0@test"), ("reports", "w1@test")}
    assert sum(row[5] > 0 for row in rows) >= 20  # those whose child was killed ran again


def _open(connection: psycopg.Connection[Any], total: int) -> int:
    """Return how many tasks have not ended, those that are missing included."""
    row = connection.execute(
        "SELECT count(*) FROM orakul.tasks WHERE status IN ('completed', 'failed', 'cancelled')"
    ).fetchone()
    assert row is not None
    return total - int(row[0])
