"""`orakul run`: one part of Orakul in a process of its own."""

import logging
import time

import typer

from orakul.cli.metrics import MetricsHost, MetricsPort, serve
from orakul.cli.options import Data
from orakul.errors import SettingsError
from orakul.settings import load_settings

__all__ = ["app"]

log = logging.getLogger("orakul.relay")
reacting = logging.getLogger("orakul.reactions")

app = typer.Typer(help="One part of Orakul in a process of its own.", no_args_is_help=True)


@app.callback()
def run() -> None:
    """One part of Orakul in a process of its own."""


@app.command()
def relay(data: Data = None, metrics_port: MetricsPort = 0, metrics_host: MetricsHost = "127.0.0.1") -> None:
    """Carry domain events from the outbox to the broker, until SIGTERM or Ctrl-C.

    Any number may run: one is at work on each part of the subjects, the others stand by and take over. What is away, a
    database or the broker, is waited for.
    """
    from orakul.assembly import open_database, trace_itself
    from orakul.cli.logs import set_up_logs
    from orakul.cli.server import orderly_end
    from orakul.delivery.relays import Relays
    from orakul.journals.postgres import PostgresJournal
    from orakul.settings import without_password
    from orakul.tasks.recorder import Recorder

    settings = load_settings({"data": data})
    set_up_logs(settings.log_level)
    serve(metrics_port, metrics_host)
    trace_itself(settings)
    if settings.events.broker is None:
        raise SettingsError("which broker? Set ORAKUL_EVENTS_BROKER to amqp://host/ (or redis://…, kafka://…)")
    with orderly_end(), open_database(settings) as database:
        recorder = Recorder(settings.spool, lambda: PostgresJournal(database.url))
        relays = Relays(settings, database.url, lambda events: recorder.record_together(*events))
        outboxes = ", ".join(map(without_password, settings.events.outboxes)) or database.shown
        log.info("relaying from %s to %s", outboxes, without_password(settings.events.broker))
        relays.start()
        try:
            while relays.is_alive():
                time.sleep(0.5)
        finally:
            relays.stop()
            recorder.close(5.0)
    log.info("ended")


@app.command()
def watch(data: Data = None, metrics_port: MetricsPort = 0, metrics_host: MetricsHost = "127.0.0.1") -> None:
    """Watch the pipelines that orakul.toml names, and record their runs, until SIGTERM or Ctrl-C."""
    from orakul.assembly import trace_itself
    from orakul.channels.redis import RedisChannel
    from orakul.cli.logs import set_up_logs
    from orakul.cli.pipelines import watch_pipelines

    settings = load_settings({"data": data})
    set_up_logs(settings.log_level)
    serve(metrics_port, metrics_host)
    trace_itself(settings)
    if settings.pipelines.redis is None:
        raise SettingsError("which pipelines? Set ORAKUL_PIPELINES_REDIS to redis://host:6379/0")
    watch_pipelines(settings, RedisChannel(settings.pipelines.redis), as_json=False, record=True)


@app.command()
def reactions(data: Data = None, metrics_port: MetricsPort = 0, metrics_host: MetricsHost = "127.0.0.1") -> None:
    """Tell people and systems what the rules say, until SIGTERM or Ctrl-C.

    Any number may run, `orakul serve` among them: one reads the journal, all of them deliver.
    """
    from orakul.assembly import open_database, reactions_of, trace_itself
    from orakul.cli.logs import set_up_logs
    from orakul.cli.server import orderly_end
    from orakul.journals.postgres import PostgresJournal, migrations
    from orakul.tasks.recorder import Recorder

    settings = load_settings({"data": data})
    set_up_logs(settings.log_level)
    serve(metrics_port, metrics_host)
    trace_itself(settings)
    with orderly_end(), open_database(settings) as database:
        migrations.upgrade(database.url)
        recorder = Recorder(settings.spool, lambda: PostgresJournal(database.url))
        found = reactions_of(settings, database.url, lambda events: recorder.record_together(*events))
        for name, trouble in found.notifiers.troubles().items():
            reacting.error("the notifier %s cannot be used: %s", name, trouble)
        told = ", ".join(found.notifiers.names()) or "nobody yet (write [notifiers.NAME] in orakul.toml)"
        reacting.info("%d rules in the settings; telling %s", len(settings.rules), told)
        found.start()
        try:
            while found.is_alive():
                time.sleep(0.5)
        finally:
            found.stop()
            recorder.close(5.0)
    reacting.info("ended")
