"""The reaper: when silence counts, and when it does not."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from orakul.errors import JournalUnavailableError
from orakul.events import Event, utc_now
from orakul.tasks import Status, Task, Worker
from orakul.tasks.leases import Reaper


class World:
    """A clock, one worker, one task in progress on it; journal and fleet in one."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.start = utc_now()
        self.beats = True
        self.away = False
        self.worker: dict[str, Any] = {"status": "online", "started_at": self.start - timedelta(hours=1)}
        self.last_seen: datetime = self.start
        self.facts: dict[str, Any] = {}
        self.task = Task(
            task_id="t",
            kind="celery",
            status=Status.IN_PROGRESS,
            worker="w",
            created_at=self.start,
            started_at=self.start,
            updated_at=self.start,
        )
        self.stored: list[Event] = []

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        if self.beats:
            self.last_seen += timedelta(seconds=seconds)

    def workers(self) -> Sequence[Worker]:
        if self.away:
            raise JournalUnavailableError("away")
        return [Worker(worker="w", kind="celery", last_seen=self.last_seen, facts=self.facts, **self.worker)]

    def abandoned(self, lease_seconds: float, limit: int = 500) -> Sequence[tuple[str, int, int, str]]:  # noqa: ARG002
        return [("t", 1, 0, "w")]  # as if the database's clock were far ahead: all look silent

    def transition(self, task_id: str, decide: Callable[[Task], Sequence[Event]], **_: Any) -> Task:
        assert task_id == "t"
        self.stored.extend(decide(self.task))
        return self.task

    def reaper(self) -> Reaper:
        return Reaper(self, self, lease_seconds=30, clock=lambda: self.now)  # type: ignore[arg-type]

    def watch(self, reaper: Reaper, seconds: float) -> int:
        given_up = 0
        for _ in range(int(seconds // 5)):
            self.pass_time(5)
            given_up += reaper.sweep()
        return given_up


@pytest.fixture
def world() -> World:
    return World()


def test_a_worker_that_beats_is_alive_whatever_the_clocks_say(world: World) -> None:
    assert world.watch(world.reaper(), 300) == 0


def test_a_silent_worker_is_lost_after_its_lease_and_not_before(world: World) -> None:
    reaper = world.reaper()
    world.watch(reaper, 60)
    world.beats = False
    assert world.watch(reaper, 25) == 0
    assert world.watch(reaper, 10) >= 1
    event = world.stored[0]
    assert (event.event_type, event.data["stage"], event.data["error"]["type"]) == ("task.failed", "lost", "WorkerLost")
    assert "last seen" in event.data["error"]["message"]
    assert len({stored.event_id for stored in world.stored}) == 1, "several reapers say it by one name"


def test_silence_counts_only_while_it_was_listened_to(world: World) -> None:
    reaper = world.reaper()
    world.beats = False
    assert world.watch(reaper, 25) == 0, "it has not listened for a lease"
    world.away = True
    with pytest.raises(JournalUnavailableError):
        reaper.sweep()
    world.away = False
    assert world.watch(reaper, 25) == 0, "the database was away: heartbeats had no way in"
    world.pass_time(100)
    assert reaper.sweep() == 0, "this process was away"
    assert world.watch(reaper, 40) >= 1


def test_a_new_process_of_the_same_name_does_not_have_the_task(world: World) -> None:
    reaper = world.reaper()
    world.watch(reaper, 40)
    world.worker["started_at"] = world.start + timedelta(seconds=1)
    assert world.watch(reaper, 5) == 1
    assert "started again" in world.stored[0].data["error"]["message"]


def test_a_worker_that_said_good_bye_has_left_its_task(world: World) -> None:
    world.worker["status"] = "offline"
    assert world.watch(world.reaper(), 40) >= 1


def test_a_watched_worker_is_not_lost_because_its_watcher_is(world: World) -> None:
    world.facts = {"agentless": True}
    world.beats = False
    assert world.watch(world.reaper(), 300) == 0


def test_a_task_that_has_moved_on_is_left_alone(world: World) -> None:
    world.beats = False
    reaper = world.reaper()
    world.task = Task(**{**{f: getattr(world.task, f) for f in world.task.__struct_fields__}, "run": 5})
    assert world.watch(reaper, 100) == 0
