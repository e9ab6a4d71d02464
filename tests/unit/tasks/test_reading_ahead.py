"""The next batch is read while one is stored: in order, none lost or twice, also where the journal goes away."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from processes import wait_for

from orakul.errors import JournalUnavailableError
from orakul.events import Event
from orakul.tasks.recorder import Recorder
from orakul.tasks.shipper import Shipper

EVENTS = 5_000


class Preparing:
    """A journal that says what it prepared and stored, and is away or refuses when told to."""

    def __init__(self, trouble: dict[int, Exception]) -> None:
        self.trouble = trouble
        self.stored: list[str] = []
        self.calls = self.prepared = 0

    def prepare(self, events: Sequence[Event]) -> list[Event]:
        self.prepared += 1
        return list(events)

    def store(self, ready: list[Event]) -> int:
        return self.append(ready)

    def append(self, events: Sequence[Event]) -> int:
        self.calls += 1
        trouble = self.trouble.pop(self.calls, None)
        if trouble is not None:
            raise trouble
        self.stored += [event.event_id for event in events]
        return len(self.stored)

    def transition(self, task_id: str, decide: Callable[..., object], *, owner: str | None = None) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    "trouble",
    [
        {},
        {1: JournalUnavailableError("away")},
        {2: JournalUnavailableError("away"), 4: JournalUnavailableError("away")},
    ],
)
def test_batches_land_in_order_and_once(tmp_path: Path, trouble: dict[int, Exception]) -> None:
    recorder = Recorder(tmp_path, ship=False)
    told = [Event(event_type="task.pending", task_id=f"t{n}", event_id=f"e{n:05}") for n in range(EVENTS)]
    for first in range(0, EVENTS, 100):
        recorder.record_together(*told[first : first + 100])
    recorder.close()
    journal = Preparing(dict(trouble))
    shipper = Shipper(tmp_path, lambda: journal, batch_events=600)
    shipper.start()
    try:
        wait_for(lambda: len(journal.stored) >= EVENTS, "all of them to land")
        wait_for(lambda: not list(tmp_path.glob("*.jsonl")), "the file to go")
    finally:
        shipper.stop(5.0)
    assert journal.stored == [event.event_id for event in told]
    assert journal.prepared >= 5
    assert shipper.counts.quarantined == 0


def test_what_is_refused_is_put_aside_and_the_rest_lands_once(tmp_path: Path) -> None:
    """The batch is sorted out event by event; the one read ahead meanwhile is not lost."""
    recorder = Recorder(tmp_path, ship=False)
    told = [Event(event_type="task.pending", task_id=f"t{n}", event_id=f"e{n:05}") for n in range(1_500)]
    recorder.record_together(*told)
    recorder.close()
    journal = Preparing({1: ValueError("not so"), 8: ValueError("not this one")})
    shipper = Shipper(tmp_path, lambda: journal, batch_events=600)
    shipper.start()
    try:
        wait_for(lambda: len(journal.stored) >= 1_499, "the rest to land")
    finally:
        shipper.stop(5.0)
    assert journal.stored == [event.event_id for number, event in enumerate(told) if number != 6]
    assert (tmp_path / "quarantine.jsonl").read_text().count("not this one") == 1
