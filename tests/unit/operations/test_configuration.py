"""Settings decide what is recorded and where it goes; wrong ones are named and change nothing."""

import json
import threading
from pathlib import Path

import pytest

from orakul.errors import SettingsError
from orakul.operations import Level, collector, configure, operation, set_detail_level
from orakul.operations.levels import detail_level
from orakul.settings import OperationsSettings


def test_several_outputs_at_once_split_by_thread(tmp_path: Path) -> None:
    undo = configure(
        OperationsSettings(
            level="minimal",
            levels=("LOAD_*=debug",),
            outputs=(f"json:{tmp_path / 'work.jsonl'}", f"table:{tmp_path / 'work.txt'}"),
            split_by_thread=True,
        )
    )
    try:

        def work() -> None:
            with operation("LOAD_FILE", level=Level.DEBUG), operation("hidden"):
                pass

        work()
        thread = threading.Thread(target=work, name="worker 1")
        thread.start()
        thread.join()
        collector.flush()
    finally:
        undo()
        set_detail_level(Level.STANDARD)
    line = json.loads((tmp_path / "work.MainThread.jsonl").read_text())
    assert (line["name"], line["children"]) == ("LOAD_FILE", [])
    assert (tmp_path / "work.worker_1.txt").read_text().startswith("Operation LOAD_FILE")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (OperationsSettings(level="debug", outputs=("tabel:stderr",)), "table"),
        (OperationsSettings(level="debug", outputs=("table",)), "FORMATTER:PLACE"),
        (OperationsSettings(level="debug", levels=("LOAD",)), "PATTERN=LEVEL"),
        (OperationsSettings(level="debug", levels=("LOAD=loud",)), "MINIMAL, STANDARD"),
        (OperationsSettings(level="debug", error_handlers=("mial",)), "log"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_changes(settings: OperationsSettings, says: str) -> None:
    before = list(collector.sinks)
    with pytest.raises(SettingsError, match=says):
        configure(settings)
    assert collector.sinks == before
    assert detail_level() is Level.STANDARD
