"""Where an order is carried out: by a fleet where there is one that takes it, else in threads of this process.

A carrier brings orders to a fleet (`orakul.export_carriers`, by name); Celery's is `runners/celery/exports.py`.
"""

import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from orakul import extensions
from orakul.errors import BrokerUnavailableError, OrakulError
from orakul.events import Event
from orakul.exports.exporter import Exporter
from orakul.exports.order import ExportOrder
from orakul.exports.stops import ask_to_stop
from orakul.settings import Settings
from orakul.tasks.orders import Fleet, StandingOrders
from orakul.tasks.sealing import Sealer

__all__ = ["Carrier", "Launcher"]

_log = logging.getLogger("orakul.exports")

_ENDING_SECONDS = 10.0


class Carrier(Protocol):
    """Brings orders to a fleet. Made by a function `(settings, fleet) -> Carrier or None` (not set up)."""

    queue: str
    """Where the orders wait."""

    def takes(self) -> bool:
        """Say whether a worker of the fleet takes orders now."""
        ...

    def send(self, order: ExportOrder) -> None:
        """Send an order, or raise BrokerUnavailableError."""
        ...


class Launcher:
    """Begins exports, here or in a fleet, and asks them to stop. Nothing is opened before it is used."""

    def __init__(self, settings: Settings, sealer: Sealer | None, fleet: Fleet) -> None:
        self.settings = settings
        self.sealer = sealer
        self._fleet = fleet
        self._record: Callable[[Event], None] | None = None
        self._recorder: Any = None
        self._lock = threading.Lock()
        self._exporter: Exporter | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: set[tuple[str, int]] = set()
        self._ending = threading.Event()

    def use(self, record: Callable[[Event], None]) -> None:
        """Record by this, instead of a recorder of its own."""
        self._record = record

    @property
    def exporter(self) -> Exporter:
        """What carries orders out in this process."""
        with self._lock:
            if self._exporter is None:
                if self._record is None:
                    self._recorder = extensions.load("orakul.recorders", "default")(self.settings)
                    self._record = self._recorder.record
                self._exporter = Exporter(
                    self.settings.exports,
                    self.settings.data,
                    self._record,
                    sealer=self.sealer,
                    orders=self._orders,
                    stays=True,
                )
            return self._exporter

    def carrier(self) -> Carrier | None:
        """Return what brings an order to the fleet now, None where it is carried out here.

        Raises BrokerUnavailableError where the settings want the fleet and none is set up.
        """
        wanted = self.settings.exports.run_in
        if wanted == "process":
            return None
        makers = extensions.load_all("orakul.export_carriers")
        if wanted == "celery":
            made = makers["celery"](self.settings, self._fleet) if "celery" in makers else None
            if made is None:
                raise BrokerUnavailableError("exports.run_in is celery, but no broker is set (ORAKUL_CELERY_BROKER)")
            return made  # type: ignore[no-any-return]
        for make in makers.values():
            carrier: Carrier | None = make(self.settings, self._fleet)
            if carrier is not None and carrier.takes():
                return carrier
        return None

    def start(self, order: ExportOrder, carrier: Carrier | None = None) -> None:
        """Let an order be carried out; returns at once. Raises BrokerUnavailableError where the fleet is away."""
        if carrier is not None:
            carrier.send(order)
            return
        exporter = self.exporter
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.settings.exports.at_once, thread_name_prefix="orakul-exports")
            self._waiting.add((order.task_id, order.attempt))
            # In the context of who asks: the export belongs to the trace of the request.
            self._pool.submit(contextvars.copy_context().run, self._carry_out, exporter, order)

    def stop(self, task_id: str, attempt: int) -> None:
        """Ask whoever carries it out to stop, here or in another process with this data folder."""
        self._waiting.discard((task_id, attempt))
        if self._exporter is None or not self._exporter.stop(task_id):
            ask_to_stop(self.settings.data, task_id, attempt)

    def is_mine(self, task_id: str) -> bool:
        """Say whether the task waits or runs in this process."""
        if any(task == task_id for task, _ in self._waiting):
            return True
        return self._exporter is not None and any(task_id.startswith(run) for run in self._exporter.running)

    def close(self) -> None:
        """Stop what runs here, and wait for it a while; what waits is given up at the next start."""
        self._ending.set()
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for thread in list(getattr(self._pool, "_threads", ())):
                thread.join(_ENDING_SECONDS)
        if self._exporter is not None:
            self._exporter.close()
        if self._recorder is not None:
            self._recorder.close(3.0)

    def _carry_out(self, exporter: Exporter, order: ExportOrder) -> None:
        key = (order.task_id, order.attempt)
        if key not in self._waiting:
            return  # cancelled before it began
        try:
            with contextlib.suppress(OrakulError, ExceptionGroup):  # its task has failed, and says why
                exporter.run(order, cancelled=self._ending)
        except Exception:  # noqa: BLE001 (logged; the next order is carried out)
            _log.exception("Export %s broke off", order.task_id)
        finally:
            self._waiting.discard(key)

    def _orders(self) -> StandingOrders | None:
        url = self.settings.database_url
        return None if url is None else extensions.load("orakul.orders", "postgres")(url)
