"""`orakul consume`: a process that runs event consumers."""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orakul.cli.metrics import MetricsHost, MetricsPort, serve
from orakul.cli.options import Data
from orakul.errors import MissingExtraError, OrakulError, SettingsError, UnavailableError
from orakul.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from orakul.delivery import Consumer, Consumers, Inbox
    from orakul.delivery.consuming import Orders, Process
    from orakul.events import Event

__all__ = ["command", "load_consumers"]

log = logging.getLogger("orakul.consumer")


def command(
    where: Annotated[
        str, typer.Argument(metavar="MODULE:APP", help="Where the consumers are: `mail.consumers:app`, or a module.")
    ],
    *,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run this consumer only; may be repeated.", show_default=False)
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option("--broker", help="amqp://…, redis://…, kafka://…  [ORAKUL_EVENTS_BROKER]", show_default=False),
    ] = None,
    grace: Annotated[
        float, typer.Option("--grace", min=0, help="Seconds that handlers get to end in when the process is to end.")
    ] = 20.0,
    data: Data = None,
    metrics_port: MetricsPort = 0,
    metrics_host: MetricsHost = "127.0.0.1",
) -> None:
    """Handle domain events: run the consumers of MODULE:APP until SIGTERM or Ctrl-C.

    APP is a `Consumers`; without it all functions of the module that are decorated by `@consumer` run. A broker that is
    away is waited for. Each delivery is a task in the control room, where a failed one can be run again.
    """
    from orakul.assembly import trace_itself
    from orakul.cli.logs import set_up_logs

    settings = load_settings({"data": data, "events.broker": broker})
    set_up_logs(settings.log_level)
    trace_itself(settings, libraries=None)
    serve(metrics_port, metrics_host)
    consumers = load_consumers(where, only or [])
    if settings.events.broker is None:
        raise SettingsError("which broker? Say --broker amqp://host/ (or redis://…, or set ORAKUL_EVENTS_BROKER)")
    with contextlib.ExitStack() as ends:
        url = _database(settings, ends)
        stuck = _run(settings, consumers, url, grace)
    if stuck:
        log.warning("a handler still runs in its thread; it is left behind")
        logging.shutdown()
        os._exit(0)


def load_consumers(where: str, only: "Sequence[str]" = ()) -> "list[Consumer]":
    """Return the consumers of `module:app`; raise SettingsError that says what is wrong with it."""
    found = list(_consumers_of(where))
    if not found:
        raise SettingsError(f"{where}: there is nothing to consume: decorate a function by @consumer('name', on='…')")
    names = [each.name for each in found]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise SettingsError(f"{where}: there is no consumer {unknown[0]!r}; there is: {', '.join(sorted(names))}")
    return [each for each in found if not only or each.name in only]


def _consumers_of(where: str) -> "Consumers":
    from orakul.delivery import Consumer, Consumers

    module_name, _, attribute = where.partition(":")
    module = _import(module_name)
    if not attribute:
        given = [each for each in vars(module).values() if isinstance(each, Consumers)]
        marked = [
            each for each in vars(module).values() if isinstance(getattr(each, "orakul_consumer", None), Consumer)
        ]
        return Consumers(*marked, *(member for each in given for member in each))
    target: Any = module
    for name in attribute.split("."):
        try:
            target = getattr(target, name)
        except AttributeError as error:
            known = [name for name, each in vars(module).items() if isinstance(each, Consumers)]
            hint = f"; there is: {', '.join(known)}" if known else ""
            raise SettingsError(f"{module_name} has no {attribute!r}{hint}") from error
    if isinstance(target, Consumers):
        return target
    if isinstance(target, Consumer) or isinstance(getattr(target, "orakul_consumer", None), Consumer):
        return Consumers(target)
    raise SettingsError(f"{where} is a {type(target).__name__}; it is to be a Consumers, or a function with @consumer")


def _import(name: str) -> Any:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except OrakulError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise SettingsError(f"there is no module {name!r} here ({Path.cwd()}) nor on PYTHONPATH") from error
        raise SettingsError(f"{name} cannot be imported: it needs {error.name!r}, which is not installed") from error
    except ValueError as error:
        raise SettingsError(f"{name!r} is no module: say MODULE:APP, as in mail.consumers:app") from error
    except Exception as error:
        log.exception("%s cannot be imported", name)
        raise SettingsError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def _database(settings: Settings, ends: contextlib.ExitStack) -> str | None:
    """Return the journal's database; None where there is none here, and deliveries wait in the spool."""
    from orakul.assembly import open_database

    try:
        return ends.enter_context(open_database(settings)).url
    except MissingExtraError as error:
        log.warning("no database here (%s): what is recorded waits in %s for who ships it", error, settings.spool)
        return None


def _run(settings: Settings, consumers: "list[Consumer]", url: str | None, grace: float) -> bool:
    """Run the process; return whether a handler is stuck in its thread."""
    from orakul.delivery import open_broker
    from orakul.delivery.consuming import Process
    from orakul.journals.postgres import PostgresJournal, migrations
    from orakul.tasks.lines import lines_recorded
    from orakul.tasks.recorder import Recorder

    if url is not None:
        with contextlib.suppress(UnavailableError):  # what is recorded waits in the spool until the tables are there
            migrations.upgrade(url)
    recorder = Recorder(settings.spool, (lambda: PostgresJournal(url)) if url else None)
    recorder.start()
    process = Process(
        consumers,
        open_broker(settings.events.broker or ""),
        recorder,
        inboxes=_inboxes(consumers, url),
        orders=_orders(url),
        shown=_shown(settings.mask),
        grace=grace,
    )
    try:
        with lines_recorded(recorder.record):
            _loop(_until_ended(process))
    finally:
        recorder.close(5)
    for each in process.consumptions:
        done = ", ".join(f"{count} {what}" for what, count in each.deliveries.counts.items() if count)
        log.info("%s: %s", each.consumer.name, done or "nothing came")
    return process.stuck


def _loop(main: "Coroutine[Any, Any, None]") -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _until_ended(process: "Process") -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.end)
    await process.run()


def _inboxes(consumers: "Iterable[Consumer]", url: str | None) -> "dict[str, Inbox]":
    from orakul.delivery.inbox import open_inbox

    made: dict[tuple[str, Any], Inbox] = {}
    found: dict[str, Inbox] = {}
    for each in consumers:
        if each.inbox is None:
            continue
        if hasattr(each.inbox, "enter"):
            found[each.name] = each.inbox
            continue
        target = url if each.inbox is True else each.inbox
        if target is None:
            raise SettingsError(f"{each.name} has inbox=True, and there is no database: set ORAKUL_DATABASE_URL")
        engine = type(target).__module__.partition(".")[0] == "sqlalchemy"
        library = "sqlalchemy" if engine else each.handler.connection_library or "psycopg"
        key = (library, target if isinstance(target, str) else id(target))
        if key not in made:
            made[key] = open_inbox(library, target)
        found[each.name] = made[key]
    return found


def _orders(url: str | None) -> "Orders | None":
    """Return the reader of standing cancellations."""
    if url is None:
        return None
    from orakul.journals.postgres import Connections, PostgresOrders

    orders = PostgresOrders(Connections(url, size=2))
    return lambda task_ids: [(each.task_id, each.attempt) for each in orders.cancellations(task_ids)]


def _shown(mask: tuple[str, ...]) -> Any:
    """Return how an event is shown in the control room: as it is, but for what is named like a secret."""
    from orakul.tasks.masking import Masks

    masks = Masks(mask)

    def shown(event: "Event") -> Any:
        return {**event.to_dict(), "data": masks.show(event.data)}

    return shown
