"""One call for the log of a whole process: `logging`, structlog, uvicorn, Celery's workers, warnings, crashes.

    from orakul.telemetry.logs_setup import set_up_logs

    set_up_logs("shop")

Celery makes the root logger its own when a worker starts, and uvicorn sets loggers of its own up: both are followed,
in whatever order things are imported. Handlers that the application added by itself (files, Sentry …) are left alone.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Literal, TextIO

from orakul.errors import OrakulError
from orakul.settings.form import MASKED
from orakul.telemetry.ecs import ECSRecords
from orakul.telemetry.logs import ECSLogFormatter, ReadableFormatter, set_up_structlog
from orakul.telemetry.pump import exit_begins

__all__ = ["LogSetup", "keep", "set_up_logs"]

_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_CHILD_SECONDS = 1.0
_crash = logging.getLogger("orakul.crash")


def set_up_logs(
    service: str,
    *,
    format: Literal["ecs", "text"] = "ecs",  # noqa: A002 (what it is called everywhere)
    level: str | int = "info",
    environment: str | None = None,
    version: str | None = None,
    mask: Iterable[str] = MASKED,
    stream: TextIO | None = None,
    also: Iterable[logging.Handler] = (),
    celery: bool | None = None,
) -> "LogSetup":
    """Write the log of this process to standard error, a line of ECS JSON a record (or of text, for people).

    `also` are handlers to be told as well, such as `elasticsearch.ElasticsearchHandler`: of the process, and of the
    children of a Celery worker. `celery` says whether workers are prepared for; by default, where Celery is installed.
    Again: what was set up before is replaced.
    """
    global _current, _records
    _check(format, level)
    made = ECSLogFormatter(service, environment=environment, version=version, mask=mask)
    setup = LogSetup(made if format == "ecs" else ReadableFormatter(), stream or sys.stderr, tuple(also))
    for handler in setup.also:
        if handler.formatter is None:
            handler.setFormatter(made)
    if _current is not None:
        _current.undo(but=setup.also)
    _current, _records = setup, made.records
    for handler in _kept:
        _mask_alike(handler)
    setup.apply(level)
    if celery or (celery is None and find_spec("celery") is not None):
        _follow_celery()
    return setup


def _check(form: str, level: str | int) -> None:
    """Say what is wrong before anything is changed."""
    if form not in {"ecs", "text"}:
        raise OrakulError(f"set_up_logs: format cannot be {form!r}: it is ecs or text")
    known = logging.getLevelNamesMapping()
    if isinstance(level, str) and level.upper() not in known:
        raise OrakulError(f"set_up_logs: level cannot be {level!r}: it is {', '.join(known).lower()}, or a number")


_current: "LogSetup | None" = None
_records: ECSRecords | None = None
_kept: list[logging.Handler] = []


def _mask_alike(handler: logging.Handler) -> None:
    """Let what goes elsewhere hide what `set_up_logs` was told to hide, whichever was set up first."""
    mask_as = getattr(handler, "mask_as", None)
    if mask_as is not None and _records is not None:
        mask_as(_records)


def keep(handler: logging.Handler, *, celery: bool | None = None) -> None:
    """Tell a handler of every line too, also where no `set_up_logs` was called, and whatever Celery does to loggers."""
    if handler not in _kept:
        _mask_alike(handler)
        _kept.append(handler)
        logging.getLogger().addHandler(handler)
    if celery or (celery is None and find_spec("celery") is not None):
        _follow_celery()


class LogSetup:
    """What `set_up_logs` has set up; `undo` takes it away again."""

    def __init__(self, formatter: logging.Formatter, stream: TextIO, also: tuple[logging.Handler, ...]) -> None:
        self.formatter = formatter
        self.also = also
        self._handler = logging.StreamHandler(stream)
        self._handler.setFormatter(formatter)

    def apply(self, level: str | int) -> None:
        """Take the process's loggers over."""
        root = logging.getLogger()
        for handler in list(root.handlers):
            if type(handler) is logging.StreamHandler and handler.stream in {sys.stderr, sys.stdout}:
                root.removeHandler(handler)  # of a `basicConfig`: every line would come twice
        for handler in (self._handler, *self.also):
            root.addHandler(handler)
        root.setLevel(level.upper() if isinstance(level, str) else level)
        take_over_uvicorn()
        if find_spec("structlog") is not None:
            _take_over_structlog()
        if isinstance(self.formatter, ECSLogFormatter):
            logging.captureWarnings(capture=True)
            _write_crashes_as_lines()

    def dress(self, logger: logging.Logger) -> None:
        """Let what Celery has set up write our lines."""
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setFormatter(self.formatter)

    def undo(self, *, but: tuple[logging.Handler, ...] = ()) -> None:
        """Take our handlers away, and end those given, but for those that are given again."""
        root = logging.getLogger()
        for handler in (self._handler, *self.also):
            root.removeHandler(handler)
            logging.getLogger("celery.task").removeHandler(handler)
            if handler is not self._handler and handler not in but:
                handler.close()
        _undo_process_wide()


def take_over_uvicorn() -> None:
    """Let uvicorn's lines go where all others go, also where it sets its loggers up later (its default is changed)."""
    config = sys.modules.get("uvicorn.config")
    default = getattr(config, "LOGGING_CONFIG", None)
    if isinstance(default, dict):
        default["handlers"] = {}
        for logger in default.get("loggers", {}).values():
            logger.pop("handlers", None)
            logger["propagate"] = True
    for name in _UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _take_over_structlog() -> None:
    global _structlog_is_ours  # noqa: PLW0603 (one configuration a process)
    import structlog  # noqa: PLC0415 (only for those who have it)

    if _structlog_is_ours or not structlog.is_configured():
        set_up_structlog()
        _structlog_is_ours = True


_structlog_is_ours = False


def _follow_celery() -> None:
    from celery import signals  # noqa: PLC0415 (only for those who have it)

    signals.after_setup_logger.connect(_celery_is_set_up, weak=False, dispatch_uid="orakul-logs")
    signals.after_setup_task_logger.connect(_celery_is_set_up, weak=False, dispatch_uid="orakul-task-logs")
    signals.worker_process_shutdown.connect(_celery_child_ends, weak=False, dispatch_uid="orakul-logs")


def _further() -> list[logging.Handler]:
    return [*_kept, *(_current.also if _current is not None else ())]


def _celery_is_set_up(logger: logging.Logger | None = None, **_: Any) -> None:
    if logger is None:
        return
    for handler in _further():
        if handler not in logger.handlers:
            logger.addHandler(handler)
    if _current is not None:
        from celery.utils.log import get_multiprocessing_logger  # noqa: PLC0415 (we are called by Celery)

        for each in (logger, get_multiprocessing_logger()):
            if each is not None:
                _current.dress(each)


def _celery_child_ends(**_: Any) -> None:
    """Send what is left, within a second: a pool's child ends without what Python does at an exit."""
    exit_begins()
    until = time.monotonic() + _CHILD_SECONDS
    for handler in _further():
        drain = getattr(handler, "drain", None)
        if drain is not None:
            drain(max(0.05, until - time.monotonic()))


def _write_crashes_as_lines() -> None:
    """Let an exception that ends the process or a thread be one line, too."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _crashed
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _thread_crashed


def _undo_process_wide() -> None:
    global _structlog_is_ours  # noqa: PLW0603 (one configuration a process)
    if _structlog_is_ours:
        import structlog  # noqa: PLC0415 (it was there)

        structlog.reset_defaults()
        _structlog_is_ours = False
    logging.captureWarnings(capture=False)
    if sys.excepthook is _crashed:
        sys.excepthook = sys.__excepthook__
    if threading.excepthook is _thread_crashed:
        threading.excepthook = threading.__excepthook__


def _crashed(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _crash.critical("%s: the process ends", kind.__qualname__, exc_info=(kind, error, trace))


def _thread_crashed(args: Any) -> None:
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread is not None else "?"
    _crash.error(
        "%s: thread %s ends",
        args.exc_type.__qualname__,
        name,
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )
