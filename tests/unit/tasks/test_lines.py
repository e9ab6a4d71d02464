"""What deliveries and exports log is kept with their tasks, within bounds."""

import asyncio
import logging
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orakul.delivery import Consumers, Delivery, message_of, open_broker
from orakul.delivery.consuming import Process
from orakul.events import Event
from orakul.events.work import Work, at_work
from orakul.exports.exporter import Exporter
from orakul.exports.order import ExportOrder
from orakul.settings import ExportSettings
from orakul.tasks import lines
from orakul.tasks.lines import lines_recorded

log = logging.getLogger("shop.parcels")


@pytest.fixture(autouse=True)
def heard() -> Any:
    """Let the root logger take lines of all levels that are recorded."""
    level = logging.getLogger().level
    logging.getLogger().setLevel("DEBUG")
    yield
    logging.getLogger().setLevel(level)


def told(events: list[Event]) -> list[tuple[Any, ...]]:
    return [
        (each.task_id, each.data["level"], each.data["message"]) for each in events if each.event_type == "task.log"
    ]


def test_a_handlers_lines_are_its_deliverys_also_from_a_thread() -> None:
    events: list[Event] = []
    app = Consumers()
    handled: list[str] = []

    @app.consumer("labels", on="parcel.sent")
    def labels(event: Event, delivery: Delivery) -> None:
        log.warning("label for %s", event.data["id"])
        log.debug("not kept")
        handled.append(delivery.task_id)

    @app.consumer("customs", on="parcel.sent")
    async def customs(event: Event, delivery: Delivery) -> None:
        log.info("declares %s", event.data["id"])
        handled.append(delivery.task_id)

    class Records:
        def record(self, event: Event) -> None:
            events.append(event)

        def record_together(self, *more: Event) -> None:
            events.extend(more)

    async def main() -> None:
        broker = open_broker(f"memory://{time.monotonic_ns()}")
        process = Process(list(app), broker, Records(), grace=2.0, name="tests")
        running = asyncio.create_task(process.run())
        await asyncio.sleep(0.02)
        await broker.publish([message_of(Event(event_type="parcel.sent", data={"id": 4}, user_id=7))])
        async with asyncio.timeout(20):
            while len(handled) < 2:  # noqa: ASYNC110 (a condition of a test)
                await asyncio.sleep(0.01)
        process.end()
        await running

    with lines_recorded(events.append):
        asyncio.run(main())
        log.info("outside of any work")
    ids = {task_id.partition(":")[0]: task_id for task_id in handled}
    assert sorted(told(events)) == [
        (ids["customs"], "info", "declares 4"),
        (ids["labels"], "warning", "label for 4"),
    ]
    assert next(each for each in events if each.event_type == "task.log").user_id in {7, "7"}


def test_a_runs_lines_are_bounded_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_A_SECOND", 10_000_000)
    events: list[Event] = []
    with lines_recorded(events.append), at_work(Work(task_id="t", kind="export", secrets=("hunter22",))):
        log.info("with hunter22")
        for number in range(2 * lines.LINES):
            log.info("line %d", number)
    kept = told(events)
    assert len(kept) == lines.LINES + 1
    assert kept[0][2] == "with •••"
    assert kept[-1][2].startswith("[the log is cut here")


def test_a_process_keeps_so_many_lines_a_second_and_counts_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_A_SECOND", 5)
    monkeypatch.setattr("orakul.tasks.lines.time.monotonic", lambda: 7.5)
    events: list[Event] = []
    with lines_recorded(events.append):
        for number in range(100):
            with at_work(Work(task_id=f"t{number}", kind="delivery")):
                log.info("busy")
    assert len(told(events)) == 5


def test_lines_of_an_export_are_its_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = tmp_path / "plans"
    plans.mkdir()
    (plans / "sales.yaml").write_text(
        "database: sqlite:///shop.db\noutput: {directory: out}\ngroups:\n"
        "  - id: sales\n    scripts:\n      - id: orders\n        variants: [{id: v, sql: 'select a from t'}]\n"
    )
    with sqlite3.connect(plans / "shop.db") as connection:
        connection.executescript("create table t (a int); insert into t values (1)")
    from orakul.exports.variant import VariantWork

    run = VariantWork.run

    def logging_run(self: VariantWork) -> Any:
        log.info("in thread %s", threading.current_thread().name)
        return run(self)

    monkeypatch.setattr(VariantWork, "run", logging_run)
    events: list[Event] = []
    exporter = Exporter(ExportSettings(plans=(str(plans),)), tmp_path, events.append)
    exporter.run(ExportOrder(run_id="r", task_id="r", plan="sales.yaml", user_id="7"))
    (task_id, level, message) = told(events)[0]
    assert (task_id, level) == ("r:sales:orders", "info")
    assert message.startswith("in thread orakul-export-variant")
