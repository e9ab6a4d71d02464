"""A program that records hears the observers that other packages have installed, and is not harmed by them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orakul.assembly import open_recorder
from orakul.events import Event
from orakul.operations import collector, configure, operation
from orakul.settings import OperationsSettings, Settings

HOUSE = """
seen = []

class Audit:
    def observe(self, event):
        seen.append((event.event_type, event.data.get("name")))

class Broken:
    def observe(self, event):
        raise RuntimeError("no")
"""
ENTRIES = "[orakul.observers]\naudit = house_of_test:Audit\nbroken = house_of_test:Broken\n"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    package = tmp_path / "house_of_test-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: house-of-test\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "house_of_test.py").write_text(HOUSE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import house_of_test  # type: ignore[import-not-found]

    yield house_of_test
    del sys.modules["house_of_test"]


def test_operations_are_told_to_installed_observers(
    house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORAKUL_DATA", str(tmp_path / "data"))
    undo = configure(OperationsSettings(record=True))
    try:
        with operation("LOAD"):
            pass
        collector.flush()
    finally:
        undo()  # which lets the observers finish
    assert house.seen == [("task.in_progress", "LOAD"), ("task.completed", "LOAD")]
    assert list((tmp_path / "data" / "spool").glob("*")), "what was observed was recorded too"


def test_each_event_is_told_once_however_it_is_recorded(house: Any, tmp_path: Path) -> None:
    recorder = open_recorder(Settings(data=tmp_path))
    recorder.record(Event(event_type="one"))
    recorder.record_together(Event(event_type="two"), Event(event_type="three"))
    recorder.close()
    assert [name for name, _ in house.seen] == ["one", "two", "three"]
    assert recorder.stats().recorded == 3
