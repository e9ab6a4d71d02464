"""`orakul watch`: fleets that do not know Orakul."""

import contextlib
import threading
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from orakul.cli.metrics import MetricsHost, MetricsPort, serve
from orakul.cli.options import Data
from orakul.errors import SettingsError, UnavailableError
from orakul.settings import load_settings

__all__ = ["app"]

app = typer.Typer(help="Watch what does not know Orakul.", no_args_is_help=True)


@app.callback()
def sources() -> None:
    """Watch what does not know Orakul."""


@app.command()
def tdtp(
    *,
    host: Annotated[
        str | None, typer.Option("--host", help="Where Redis is: 127.0.0.1, unless told otherwise.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", help="The port of Redis: 6379, unless told otherwise.")] = None,
    db: Annotated[int | None, typer.Option("--db", help="The database that holds the state keys: 0.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The user of Redis, where it has users.")] = None,
    password: Annotated[
        str | None,
        typer.Option("--password", envvar="ORAKUL_REDIS_PASSWORD", help="The password of Redis.", show_envvar=True),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS to Redis.")] = False,
    tls_ca: Annotated[
        Path | None, typer.Option("--tls-ca", help="Trust the certificates of this file (PEM), with --tls.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Instead: redis://…, rediss://…  [ORAKUL_PIPELINES_REDIS]", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each run as a line of JSON.")] = False,
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Print only; record nothing.")] = False,
    lang: Annotated[
        str | None, typer.Option("--lang", help="The language of what it says: ru or en.  [ORAKUL_LANGUAGE]")
    ] = None,
    data: Data = None,
    metrics_port: MetricsPort = 0,
    metrics_host: MetricsHost = "127.0.0.1",
) -> None:
    """Watch all TDTP pipelines that report over Redis: print each run, and record it; until Ctrl-C."""
    from orakul.channels.redis import RedisChannel
    from orakul.cli.logs import set_up_logs
    from orakul.cli.pipelines import watch_pipelines

    said = [
        name
        for name, value in {"--host": host, "--port": port, "--db": db, "--user": user}.items()
        if value is not None
    ]
    said += [name for name, value in {"--tls": tls, "--tls-ca": tls_ca}.items() if value]
    if url is not None and said:
        raise SettingsError(f"--url says all of it: leave out {', '.join(said)}, or write it into the URL")
    if user is not None and password is None:
        raise SettingsError(f"the user {user!r} needs a password: say --password, or set ORAKUL_REDIS_PASSWORD")
    if tls_ca is not None and not tls:
        raise SettingsError("--tls-ca is for --tls: say that too")
    if tls_ca is not None and not tls_ca.is_file():
        raise SettingsError(f"--tls-ca: there is no file {tls_ca}")
    settings = load_settings({"data": data, "pipelines.redis": url, "language": lang})
    set_up_logs(settings.log_level)
    serve(metrics_port, metrics_host)
    address = settings.pipelines.redis
    if address is None or said:  # what is said here counts more than what the settings say
        owner = f"{quote(user or '', safe='')}:{quote(password, safe='')}@" if password else ""
        scheme, trusted = ("rediss", f"?ssl_ca_certs={quote(str(tls_ca))}" if tls_ca else "") if tls else ("redis", "")
        address = f"{scheme}://{owner}{host or '127.0.0.1'}:{port or 6379}/{db or 0}{trusted}"
    watch_pipelines(settings, RedisChannel(address), as_json=as_json, record=not no_journal)


@app.command()
def celery(
    broker: Annotated[
        str | None,
        typer.Option("--broker", help="The broker: redis://… or amqp://…  [ORAKUL_CELERY_BROKER]", show_default=False),
    ] = None,
    data: Data = None,
    metrics_port: MetricsPort = 0,
    metrics_host: MetricsHost = "127.0.0.1",
) -> None:
    """Record a Celery fleet from its events, without a change to its code; until Ctrl-C."""
    from orakul.assembly import open_database
    from orakul.cli.logs import set_up_logs
    from orakul.cli.server import orderly_end
    from orakul.journals.postgres import Connections, PostgresJournal, PostgresOrders, PostgresReader, migrations
    from orakul.runners.celery.agentless import running_on_watched, watch
    from orakul.tasks.recorder import Recorder

    settings = load_settings({"data": data, "celery.broker": broker})
    set_up_logs(settings.log_level)
    serve(metrics_port, metrics_host)
    if settings.celery.broker is None:
        raise SettingsError("which broker? Say --broker redis://host:6379/0 (or set ORAKUL_CELERY_BROKER)")
    with open_database(settings) as database:
        with contextlib.suppress(UnavailableError):  # what is seen waits in the spool until the tables are there
            migrations.upgrade(database.url)
        recorder = Recorder(settings.spool, lambda: PostgresJournal(database.url))
        recorder.start()
        stop = threading.Event()
        parts = Connections(database.url, size=2)
        reader, fleet = PostgresReader(parts), PostgresOrders(parts)
        options = {
            "stop": stop,
            "state_folder": settings.data,
            "mask": settings.mask,
            "open_tasks": lambda: running_on_watched(reader, fleet),
        }
        watching = threading.Thread(target=watch, args=(settings.celery.broker, recorder), kwargs=options, daemon=True)
        with orderly_end():
            watching.start()
            while watching.is_alive():
                time.sleep(0.5)  # a join that a signal breaks off takes the thread for ended, on Python 3.11
        stop.set()
        watching.join(10)
        recorder.close(5)
