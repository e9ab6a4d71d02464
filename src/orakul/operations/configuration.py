"""Operations as the settings want them: levels, outputs, error handlers."""

import atexit
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orakul import extensions
from orakul.errors import SettingsError
from orakul.operations.collection import Sink, collector
from orakul.operations.grouping import GroupedErrorHandler
from orakul.operations.handlers import ErrorHandler, ErrorHandlers
from orakul.operations.levels import set_detail_level
from orakul.operations.mail import EmailErrorHandler
from orakul.operations.outputs import Output
from orakul.operations.recording import OperationRecorder
from orakul.settings import OperationsSettings, load_settings

__all__ = ["configure"]


def configure(settings: OperationsSettings | None = None) -> Callable[[], None]:
    """Let this process's operations be recorded as the settings say; return what undoes it.

    Without settings, those of `orakul.toml` and the environment. May be called again while the program runs. Raises
    SettingsError, naming what is wrong, with nothing changed.
    """
    given = settings if settings is not None else load_settings().operations
    by_name = dict(_level(each) for each in given.levels)
    sinks: list[Sink] = [_output(each, given) for each in given.outputs]
    handlers = [_handler(name, given) for name in given.error_handlers]
    if handlers:
        sinks.append(ErrorHandlers(handlers))
    recorder = extensions.load("orakul.recorders", "default")() if given.record else None
    if recorder is not None:
        sinks.append(OperationRecorder(recorder.record))
    try:
        set_detail_level(given.level, by_name)
    except ValueError as error:
        raise SettingsError(f"operations.levels: {error}") from error
    collector.flush()
    collector.sinks.extend(sinks)

    def finish() -> None:
        collector.flush()
        for handler in handlers:
            if isinstance(handler, GroupedErrorHandler):
                handler.close()

    # A program that fails and ends has its errors told all the same.
    atexit.register(finish)

    def undo() -> None:
        finish()
        atexit.unregister(finish)
        for sink in sinks:
            collector.sinks.remove(sink)
        if recorder is not None:
            recorder.close()

    return undo


def _level(text: str) -> tuple[str, str]:
    pattern, equals, level = text.rpartition("=")
    if not equals or not pattern.strip():
        raise SettingsError(f"operations.levels: {text!r} is not PATTERN=LEVEL, such as LOAD_*=debug")
    return pattern.strip(), level.strip()


def _output(text: str, settings: OperationsSettings) -> Output:
    name, colon, place = text.partition(":")
    if not colon or not place.strip():
        raise SettingsError(f"operations.outputs: {text!r} is not FORMATTER:PLACE, such as table:stderr")
    streams = {"stderr": sys.stderr, "stdout": sys.stdout}
    return Output(
        _load("orakul.formatters", name.strip())(),
        streams.get(place.strip()) or Path(place.strip()),
        split_by_thread=settings.split_by_thread,
        only_failures=settings.only_failures,
    )


def _handler(name: str, settings: OperationsSettings) -> ErrorHandler:
    messenger = None
    if name != "email" or not settings.email_to:
        # A notifier of the settings: any of them can bring errors to people.
        messenger = extensions.load("orakul.messengers", "default")(name)
    if messenger is not None:
        return GroupedErrorHandler(messenger, interval=settings.notify_every_seconds, apart=messenger.apart)
    if name != "email":
        known = extensions.names("orakul.error_handlers")
        if name not in known:
            raise SettingsError(
                f"operations.error_handlers: there is no {name!r}: it is one of {', '.join(known)}, email, or the name "
                f"of a notifier, set up as [notifiers.{name}]"
            )
        made: ErrorHandler = extensions.load("orakul.error_handlers", name)()
        return made
    if not settings.email_to or not settings.email_from:
        raise SettingsError("operations.error_handlers: email needs operations.email_to and operations.email_from")
    try:
        return EmailErrorHandler(
            settings.email_to,
            sender=settings.email_from,
            server=settings.email_server,
            interval=settings.email_every_seconds,
        )
    except ValueError as error:
        raise SettingsError(f"operations.email_server: {error}") from error


def _load(group: str, name: str) -> Any:
    known = extensions.names(group)
    if name not in known:
        raise SettingsError(f"nothing called {name!r} is installed in {group!r}; there is: {', '.join(known)}")
    return extensions.load(group, name)
