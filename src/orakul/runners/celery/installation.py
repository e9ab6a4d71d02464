"""Joining the parts to Celery's signals, once a process."""

import logging
import os
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from celery import signals

from orakul.runners.celery.execution import ExecutionSide
from orakul.runners.celery.exports import register
from orakul.runners.celery.fleet import Fleet
from orakul.runners.celery.logs import TaskLogHandler, attach
from orakul.runners.celery.metrics import WorkerMetrics
from orakul.runners.celery.parts import Parts, quiet
from orakul.runners.celery.publisher import PublisherSide
from orakul.runners.celery.worker import WorkerSide

__all__ = ["Installation", "install_on"]

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 5.0
_lock = threading.Lock()
_installation: "Installation | None" = None


def install_on(app: Any, overrides: Mapping[str, Any]) -> None:
    """Install once a process; a further application shares what is there."""
    global _installation  # noqa: PLW0603 (Celery's signals are global too)
    with _lock:
        if _installation is None:
            _installation = Installation(app, overrides)
            _installation.connect()
        elif not any(app is known for known in _installation.parts.apps):
            _installation.parts.apps.append(app)
        register(app, _installation.parts)


class Installation:
    """The sides, and which signal tells which."""

    def __init__(self, app: Any, overrides: Mapping[str, Any]) -> None:
        self.app = app
        self.parts = Parts(app, overrides)
        self.publisher = PublisherSide(self.parts)
        self.execution = ExecutionSide(self.parts)
        self.worker = WorkerSide(self.parts, self.execution)
        self.fleet = Fleet(self.parts)
        self.logs: TaskLogHandler | None = None

    def connect(self) -> None:
        """Connect to all signals; the order among other people's handlers does not matter."""
        os.register_at_fork(after_in_child=self.parts.reset_after_fork)
        for signal, handler in (
            (signals.before_task_publish, self.publisher.before),
            (signals.after_task_publish, self.publisher.after),
            (signals.task_received, self.worker.received),
            (signals.task_revoked, self.worker.revoked),
            (signals.task_unknown, self.worker.unknown),
            (signals.task_rejected, self.worker.rejected),
            (signals.task_prerun, self.execution.prerun),
            (signals.task_success, self.execution.success),
            (signals.task_failure, self.worker.failed),
            (signals.task_retry, self.worker.retried),
            (signals.task_postrun, self.execution.postrun),
            (signals.task_internal_error, self.execution.internal_error),
            (signals.after_setup_logger, self._logging_is_set_up),
            (signals.after_setup_task_logger, self._logging_is_set_up),
            (signals.worker_init, self._worker_begins),
            (signals.worker_process_init, self._child_begins),
            (signals.worker_process_shutdown, self._child_ends),
            (signals.worker_ready, self._worker_is_ready),
            (signals.worker_shutdown, self._worker_ends),
        ):
            signal.connect(handler, weak=False)

    @quiet
    def _worker_begins(self, **_: Any) -> None:
        self.parts.become_worker()
        WorkerMetrics(self.app, self.parts).install()
        self._install_control()

    def _install_control(self) -> None:
        """Let remote commands, standing cancellations and pauses in, where that part is there."""
        try:
            control = import_module("orakul.runners.celery.control")
        except ModuleNotFoundError as error:
            if error.name != "orakul.runners.celery.control":
                raise
            return
        control.install_worker_side(self.app, self.parts)

    @quiet
    def _logging_is_set_up(self, logger: logging.Logger | None = None, **_: Any) -> None:
        if self.parts.prepare():
            if self.logs is None:
                level = getattr(logging, self.parts.settings.log_level.upper())
                self.logs = TaskLogHandler(self.parts, self.execution.secrets_of, level)
            attach(self.logs, logger)

    @quiet
    def _child_begins(self, **_: Any) -> None:
        self.parts.become_pool_child()
        self._logging_is_set_up()

    @quiet
    def _child_ends(self, **_: Any) -> None:
        self.parts.close(1.0)

    @quiet
    def _worker_is_ready(self, *, sender: Any, **_: Any) -> None:
        self._logging_is_set_up()
        self.worker.watch_undecodable(sender)
        self.fleet.online(sender)

    @quiet
    def _worker_ends(self, **_: Any) -> None:
        self.fleet.offline()
        self.parts.close(_FLUSH_SECONDS)
