"""What an instrumented application works with: settings, masks, seal and recorder, made when first needed."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from orakul.events import Event, utc_now
from orakul.events.installed import observed
from orakul.extensions import load
from orakul.settings import Settings, load_settings
from orakul.tasks.journal import Journal
from orakul.tasks.masking import Limits, Masks
from orakul.tasks.orders import StandingOrders
from orakul.tasks.recorder import Recorder
from orakul.tasks.sealing import Sealer, secret_in
from orakul.tasks.shipping import ShipperProcess

if TYPE_CHECKING:
    from orakul.events import Dispatcher

__all__ = ["RESULT_LIMITS", "Parts", "quiet"]

logger = logging.getLogger(__name__)

RESULT_LIMITS = Limits(depth=12, items=500, nodes=5000, text=20_000, characters=64_000)

P = ParamSpec("P")
R = TypeVar("R")

_last_complaint = float("-inf")


def complain(message: str, *args: Any) -> None:
    """Log what went wrong in the watching, with its traceback, at most once in ten seconds."""
    global _last_complaint  # noqa: PLW0603 (one clock a process)
    now = time.monotonic()
    if now - _last_complaint >= 10:  # noqa: PLR2004 (said in the docstring)
        _last_complaint = now
        logger.warning(message, *args, exc_info=True)  # noqa: LOG014 (called from handlers of exceptions)


def quiet(handler: Callable[P, R]) -> Callable[P, R | None]:
    """Keep the errors of a handler from the user's code: watching must never break what is watched."""

    @wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return handler(*args, **kwargs)
        except Exception:  # noqa: BLE001 (whatever it is, the user's task goes on)
            complain("Orakul could not record a step of a task; the task itself is not affected.")
            return None

    return guarded


def _nobody(event: Event) -> None:
    """Be told before there is a recorder: nothing to do."""
    del event


class Parts:
    """The parts of one installation, in this process; a forked child makes its own recorder."""

    def __init__(self, app: Any, overrides: Mapping[str, Any]) -> None:
        self.apps = [app]
        self.masked_positions = lru_cache(maxsize=4096)(self._masked_positions)
        self._overrides = dict(overrides)
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._recorder: Recorder | None = None
        self._dispatcher: Dispatcher | None = None
        self._tell: Callable[[Event], None] = _nobody
        self._sealer: Sealer | None = None
        self._shipper: ShipperProcess | None = None
        self._broken = False
        self.pool_child = False
        self.pid = os.getpid()
        self.masks = Masks(())
        self.keeps_messages = False

    def reset_after_fork(self) -> None:
        """Forget what a forked child must not share with its parent: the locks, and whose recorder it is."""
        self._lock = threading.Lock()
        self.pid = os.getpid()

    def prepare(self) -> bool:
        """Read the settings and make the parts; tell whether recording is possible. What is wrong is logged, once."""
        if self._recorder is not None:
            return True
        if self._broken:
            return False
        with self._lock:
            try:
                self._make()
            except Exception:
                self._broken = True
                logger.exception("Orakul does not record: its settings or its spool do not work.")
        return not self._broken

    def _make(self) -> None:
        if self._recorder is not None or self._broken:
            return  # another thread was faster
        settings = load_settings(self._overrides)
        self._settings = settings
        self.masks = Masks(settings.mask)
        if settings.celery.keep_messages:
            self._sealer = Sealer(settings.secret_key or secret_in(settings.data))
            self.keeps_messages = True
        ships = settings.database_url is not None and not self.pool_child and self._shipper is None
        recorder = Recorder(settings.spool, self._open_journal, ship=ships)
        self._dispatcher = observed(recorder)
        self._tell = self._dispatcher.publish if self._dispatcher else recorder.record
        self._recorder = recorder

    def _open_journal(self) -> Journal:
        journal: Journal = load("orakul.journals", "postgres")(self.settings.database_url)
        return journal

    def orders(self) -> StandingOrders | None:
        """Return the standing orders, or None where no database is set: then the server alone sees to them."""
        if not self.prepare() or self.settings.database_url is None:
            return None
        orders: StandingOrders = load("orakul.orders", "postgres")(self.settings.database_url)
        return orders

    @property
    def settings(self) -> Settings:
        """The settings, read when first needed."""
        if self._settings is None:
            self._settings = load_settings(self._overrides)
        return self._settings

    @property
    def sealer(self) -> Sealer | None:
        """What seals original messages, or None where they are not kept."""
        return self._sealer

    @property
    def recorder(self) -> Recorder:
        """The recorder of this process."""
        if not self.prepare() or self._recorder is None:
            raise RuntimeError("Orakul does not record; the reason was logged.")
        return self._recorder

    def find_task(self, name: str) -> Any:
        """Return the task registered by this name, or None; never makes an application load anything."""
        for app in self.apps:
            task = app._tasks.get(name)  # noqa: SLF001 (`tasks` would finalize the application)
            if task is not None:
                return task
        return None

    def _masked_positions(self, name: str) -> frozenset[int]:
        """Return the positions of a task's arguments whose parameters have secret names."""
        task = self.find_task(name)
        if task is None or not self.prepare():
            return frozenset()
        try:
            parameters = list(signature(task.run).parameters)
        except (TypeError, ValueError):
            return frozenset()
        return frozenset(at for at, parameter in enumerate(parameters) if self.masks.hides(parameter))

    def emit(
        self,
        event_type: str,
        task_id: str | None,
        data: dict[str, Any],
        *,
        user: str | None = None,
        trace_id: str | None = None,
        at: datetime | None = None,
        before: Event | None = None,
    ) -> None:
        """Record an event, and one `before` it in the same breath; never raises, never waits."""
        if self._recorder is None and not self.prepare():
            return
        event = Event(
            event_type=event_type,
            task_id=task_id,
            data=data,
            user_id=user,
            trace_id=trace_id,
            timestamp=at or utc_now(),
            source="celery",
        )
        if before is None:
            self._tell(event)
        elif self._dispatcher is None:
            self.recorder.record_together(before, event)
        else:
            self._tell(before)
            self._tell(event)

    def become_worker(self) -> None:
        """Be a worker's main process: leave the shipping to a process beside it, if one can be started."""
        if not self.prepare() or self.settings.database_url is None:
            return
        self._shipper = ShipperProcess(self.settings.spool, self.settings.database_url)
        try:
            self._shipper.start()
        except Exception:  # noqa: BLE001 (no process, no memory, no /dev: whatever it is, ship from here)
            complain("Orakul's shipper could not be started as a process; the worker ships by itself.")
            self._shipper = None
            return
        self.recorder.append_only()

    def see_to_shipping(self) -> None:
        """Start the shipper's process again where somebody has killed it."""
        if self._shipper is not None:
            self._shipper.start()

    def become_pool_child(self) -> None:
        """Be a forked pool child: only append to a spool file of its own; the worker's main process ships it."""
        self.reset_after_fork()
        self.pool_child = True
        self._recorder = None
        self._broken = False
        self.prepare()

    def close(self, deadline: float) -> None:
        """Ship what is still here, within the deadline; what does not go stays in the spool."""
        if self._dispatcher is not None:
            self._dispatcher.close(deadline)
        if self._recorder is not None:
            self._recorder.close(deadline)
        if self._shipper is not None:
            self._shipper.stop(deadline)
