"""Exports on a Celery fleet: the task `orakul.export`, which `install` gives to an application, and its carrier.

The order travels as JSON; plan and output folders are those of the machine that runs it. The run is a task of its own
(kind `export`), recorded by the export; the Celery task stands below it.
"""

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from orakul.errors import OrakulError, UnavailableError
from orakul.events import new_event_id, utc_now
from orakul.exports.order import ExportOrder, decode_order, encode_order
from orakul.runners.celery import headers as names
from orakul.runners.celery.broker import Broker
from orakul.runners.celery.originals import Original
from orakul.runners.celery.stopping import TaskCancelled
from orakul.settings import Settings
from orakul.tasks.orders import Fleet, Worker

if TYPE_CHECKING:
    from orakul.exports.exporter import Exporter
    from orakul.exports.run import RunResult
    from orakul.runners.celery.parts import Parts

__all__ = ["TASK", "CeleryCarrier", "ExportFailedError", "carrier", "register"]

TASK = "orakul.export"


class ExportFailedError(OrakulError):
    """A script of an export has failed."""


def register(app: Any, parts: "Parts") -> None:
    """Give the application the task, unless it has one of that name."""
    if TASK in app._tasks:  # noqa: SLF001 (`tasks` would finalize the application)
        return
    exporters: dict[int, Exporter] = {}

    @app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator]
    def export(task: Any, order: str) -> dict[str, Any]:
        """Carry an export's order out."""
        again = names.run_of(task.request.__dict__) or (names.new_run() if task.request.retries else 0)
        given = msgspec.structs.replace(decode_order(order), run=again)
        if parts.pid not in exporters:
            exporters[parts.pid] = _exporter(parts)
        return _carry_out(exporters[parts.pid], given)


def _exporter(parts: "Parts") -> "Exporter":
    from orakul.exports.exporter import Exporter  # noqa: PLC0415 (most workers never export)

    return Exporter(
        parts.settings.exports,
        parts.settings.data,
        parts.recorder.record,
        sealer=parts.sealer,
        orders=parts.orders,
    )


def _carry_out(exporter: "Exporter", order: ExportOrder) -> dict[str, Any]:
    """Run it in a thread beside this one, which a cancellation of the Celery task is raised in."""
    asked = threading.Event()
    ended: list[RunResult] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            ended.append(exporter.run(order, cancelled=asked))
        except BaseException as error:  # noqa: BLE001 (raised again by the one who waits)
            failed.append(error)

    working = threading.Thread(target=work, name="orakul-export")
    working.start()
    try:
        while working.is_alive():
            working.join(0.2)
    except BaseException:
        asked.set()
        working.join()
        raise
    if failed:
        raise failed[0]
    result = ended[0]
    if result.outcome == "Cancelled":
        raise TaskCancelled
    if result.outcome == "Failed":
        bad = [s.script_id for group in result.groups for s in group.scripts if s.outcome == "Failed"]
        why = result.error.message if result.error else f"scripts that failed: {', '.join(bad)}"
        raise ExportFailedError(why)
    return {
        "run_id": result.run_id,
        "outcome": str(result.outcome),
        "rows_exported": result.rows_exported,
        "bytes_written": result.bytes_written,
    }


class CeleryCarrier:
    """Fulfils `exports.launcher.Carrier`."""

    def __init__(self, settings: Settings, fleet: Fleet | None = None) -> None:
        self.queue = settings.exports.queue
        self._broker = Broker(settings.celery.broker or "")
        self._fleet = fleet
        self._silence = timedelta(seconds=settings.lease_seconds)

    def takes(self) -> bool:
        """Say whether an instrumented worker that lives takes from the queue."""
        if self._fleet is None:
            return False
        try:
            return any(map(self._takes, self._fleet.workers()))
        except UnavailableError:
            return False

    def _takes(self, worker: Worker) -> bool:
        return (
            worker.kind == "celery"
            and worker.status != "offline"
            and not worker.facts.get("agentless")
            and self.queue in worker.queues
            and utc_now() - worker.last_seen < self._silence
        )

    def send(self, order: ExportOrder) -> None:
        """Publish the task."""
        message_id = new_event_id()
        text = encode_order(order).decode()
        headers = {
            "lang": "py",
            "task": TASK,
            "id": message_id,
            "root_id": order.run_id,
            "parent_id": order.task_id,
            "group": None,
            "retries": 0,
            "timelimit": [None, None],
            "argsrepr": "()",
            "kwargsrepr": "{'order': …}",
            "origin": "orakul",
            "ignore_result": True,
            names.USER: order.user_id,
        }
        options = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        self._broker.publish(
            Original(
                body=msgspec.json.encode([[], {"order": text}, options]),
                is_text=True,
                content_type="application/json",
                content_encoding="utf-8",
                headers=headers,
                properties={"correlation_id": message_id, "delivery_mode": 2},
                routing_key=self.queue,
                queue=self.queue,
            )
        )


def carrier(settings: Settings, fleet: Fleet) -> CeleryCarrier | None:
    """Return the carrier to the broker in the settings, None where none is set."""
    return CeleryCarrier(settings, fleet) if settings.celery.broker is not None else None
