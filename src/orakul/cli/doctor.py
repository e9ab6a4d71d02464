"""`orakul doctor`: what is configured, what answers, what to do about what does not."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import typer

from orakul import __version__
from orakul.cli.options import Data
from orakul.errors import OrakulError
from orakul.settings import Settings, known, load_settings, without_password

__all__ = ["command"]


class Verdict(Enum):
    """How it stands with one thing."""

    GOOD = "ok"
    UNUSED = "--"
    WARNING = "! "
    BAD = "!!"


class Finding(NamedTuple):
    """One line of the report, and what to do about it."""

    verdict: Verdict
    subject: str
    says: str
    advice: str = ""


def command(data: Data = None) -> None:
    """Say what is configured, what answers, what to do about what does not; exit code 1 where something is wrong."""
    print(f"Orakul {__version__}, Python {sys.version.split()[0]}")
    settings = load_settings({"data": data})
    bad = 0
    for check in (
        _settings,
        _data,
        _key,
        _database,
        _spool,
        _broker,
        _events,
        _exports,
        _reactions,
        _tokens,
        _interface,
        _web,
    ):
        for finding in _carefully(check, settings):
            bad += finding.verdict is Verdict.BAD
            print(f" {finding.verdict.value}  {finding.subject:<10} {finding.says}")
            if finding.advice:
                print(f"     {'':<10} → {finding.advice}")
    print("All is well." if not bad else f"{bad} {'thing needs' if bad == 1 else 'things need'} attention.")
    if bad:
        raise typer.Exit(1)


def _carefully(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    """Let a check that fails be a finding, so that the others are still made."""
    subject = check.__name__.strip("_")
    try:
        yield from check(settings)
    except OrakulError as error:
        yield Finding(Verdict.BAD, subject, str(error))
    except Exception as error:  # noqa: BLE001 (a doctor does not die of what the patient has)
        yield Finding(Verdict.BAD, subject, f"{type(error).__name__}: {without_password(str(error))}")


def _settings(settings: Settings) -> Iterator[Finding]:
    named = os.environ.get("ORAKUL_CONFIG") or "orakul.toml"
    file = Path(named).expanduser()
    variables = sorted(key.variable for key in known().values() if os.environ.get(key.variable))
    sources = [str(file.absolute())] * file.is_file() + variables
    yield Finding(Verdict.GOOD, "settings", "from " + ", ".join(sources) if sources else "all as they come (defaults)")
    if settings.trace_url and "{trace_id}" not in settings.trace_url:
        yield Finding(
            Verdict.BAD, "trace_url", "has no {trace_id} in it", "https://jaeger.example.com/trace/{trace_id}"
        )


def _data(settings: Settings) -> Iterator[Finding]:
    folder = settings.data
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        advice = "give this user the folder, or name another by ORAKUL_DATA"
        yield Finding(Verdict.BAD, "data", f"{folder} cannot be written to ({error.strerror})", advice)
        return
    free = os.statvfs(there)
    gigabytes = free.f_bavail * free.f_frsize / 1e9
    state = "" if folder.exists() else ", will be made"
    if gigabytes < 1:
        yield Finding(Verdict.BAD, "data", f"{folder}: only {gigabytes:.1f} GB are free", "make room, or move it")
    else:
        yield Finding(Verdict.GOOD, "data", f"{folder} ({gigabytes:.0f} GB free{state})")


def _key(settings: Settings) -> Iterator[Finding]:
    path = settings.data / "secret.key"
    if settings.secret_key:
        yield Finding(Verdict.GOOD, "key", "secret_key is set; give all workers the same")
    elif path.exists():
        yield Finding(Verdict.GOOD, "key", f"{path}; workers on other machines need it as ORAKUL_SECRET_KEY")
    else:
        yield Finding(Verdict.UNUSED, "key", f"none yet; the first start makes {path}")


def _database(settings: Settings) -> Iterator[Finding]:
    from orakul.assembly import open_database

    if settings.database_url is None and not (settings.data / "postgres").exists():
        from orakul.journals.postgres import EmbeddedPostgres  # noqa: F401 (is it installed?)

        yield Finding(Verdict.UNUSED, "database", "embedded PostgreSQL, made at the first start of orakul serve")
        return
    with open_database(settings) as database:
        from orakul.journals.postgres import Connections, migrations

        with Connections(database.url) as connections:
            version = connections.run("read", lambda connection: connection.execute("SHOW server_version").fetchone())
        state = migrations.status(database.url)
        yield Finding(Verdict.GOOD, "database", f"PostgreSQL {version[0] if version else '?'}, {database.shown}")
        if state.pending:
            has = f"version {state.current}" if state.current else "missing"
            advice = "orakul db upgrade (orakul serve does it by itself)"
            yield Finding(Verdict.BAD, "tables", f"{has}, the newest is {state.head}", advice)
        else:
            yield Finding(Verdict.GOOD, "tables", f"up to date (version {state.current})")
            yield from _workers(settings, database.url)


def _workers(settings: Settings, url: str) -> Iterator[Finding]:
    from orakul.events import utc_now
    from orakul.journals.postgres import Connections, PostgresOrders

    with Connections(url) as connections:
        workers = PostgresOrders(connections).workers()
    alive = [w for w in workers if (utc_now() - w.last_seen).total_seconds() < settings.lease_seconds]
    if alive:
        names = ", ".join(worker.worker for worker in alive[:5]) + (" …" if len(alive) > 5 else "")  # noqa: PLR2004
        yield Finding(Verdict.GOOD, "workers", f"{len(alive)} alive: {names}")
    else:
        advice = "orakul.runners.celery.install(app) in the application, and the same ORAKUL_DATABASE_URL for it"
        yield Finding(Verdict.UNUSED, "workers", "none has been heard of lately", advice)


def _spool(settings: Settings) -> Iterator[Finding]:
    files = [path for path in settings.spool.glob("**/*") if path.is_file()] if settings.spool.is_dir() else []
    size = sum(path.stat().st_size for path in files)
    says = f"{settings.spool}: {size / 1e6:.1f} MB" if files else f"{settings.spool}: nothing yet"
    if size > 1e9:  # noqa: PLR2004 (a gigabyte)
        yield Finding(
            Verdict.BAD, "spool", says + " wait to be shipped", "is the database away, is orakul serve running?"
        )
    else:
        yield Finding(Verdict.GOOD if files else Verdict.UNUSED, "spool", says)


def _broker(settings: Settings) -> Iterator[Finding]:
    url = settings.celery.broker
    if url is None:
        advice = "set ORAKUL_CELERY_BROKER to the application's broker"
        yield Finding(
            Verdict.UNUSED, "broker", "none set: tasks cannot be retried, cancelled, paused from here", advice
        )
        return
    from kombu import Connection

    shown = without_password(url)
    try:
        with Connection(url, connect_timeout=3, transport_options={"max_retries": 1}) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=4)
    except Exception as error:  # noqa: BLE001 (each transport has its own)
        says = f"{shown} does not answer: {without_password(str(error)) or type(error).__name__}"
        yield Finding(Verdict.BAD, "broker", says, "is it running, are host, port and password right?")
    else:
        yield Finding(Verdict.GOOD, "broker", f"{shown} answers")


def _exports(settings: Settings) -> Iterator[Finding]:
    from orakul.exports.library import PlanLibrary

    library = PlanLibrary(settings.exports.plans)
    if not library.folders:
        yield Finding(Verdict.UNUSED, "exports", "no folder of plans (exports.plans)")
    for folder in library.folders:
        if not folder.is_dir():
            yield Finding(Verdict.BAD, "exports", f"{folder} is no folder", "make it, or set exports.plans anew")
    for name in library.names():
        try:
            plan = library.load(name)
        except OrakulError as error:
            yield Finding(Verdict.BAD, "exports", f"plan {name} is wrong", str(error).splitlines()[0])
            continue
        scripts = sum(len(group.scripts) for group in plan.groups)
        yield Finding(Verdict.GOOD, "exports", f"plan {name}: {len(plan.groups)} groups, {scripts} scripts")


def _events(settings: Settings) -> Iterator[Finding]:
    url = settings.events.broker
    if url is None:
        advice = "set ORAKUL_EVENTS_BROKER to amqp://…, redis://… or kafka://… where domain events are published"
        yield Finding(Verdict.UNUSED, "events", "no broker set: domain events stay in the outbox", advice)
        return
    import asyncio

    from orakul.delivery.broker import open_broker

    async def answers() -> None:
        broker = open_broker(url)
        try:
            async with asyncio.timeout(10):
                await broker.connect()
        finally:
            await broker.close()

    try:
        asyncio.run(answers())
    except (OrakulError, TimeoutError) as error:
        advice = "is it running, are host, port and password right?"
        yield Finding(Verdict.BAD, "events", str(error) or "it does not answer", advice)
    else:
        yield Finding(Verdict.GOOD, "events", f"{without_password(url)} answers")


def _reactions(settings: Settings) -> Iterator[Finding]:
    from orakul.reactions.making import Notifiers
    from orakul.reactions.rule import rules_of

    notifiers = Notifiers(settings.notifiers)
    troubles = notifiers.troubles()
    for name, trouble in troubles.items():
        yield Finding(Verdict.BAD, "notifier", f"{name} cannot be used: {trouble}")
    rules = rules_of(settings.rules)
    for stored in rules:
        for name in stored.rule.notify:
            if name not in notifiers.names():
                says = f"the rule {stored.rule.name!r} tells {name!r}, and there is none"
                yield Finding(Verdict.BAD, "rule", says, f"write [notifiers.{name}] in orakul.toml")
    good = [f"{name} ({kind})" for name, kind in notifiers.kinds().items() if name not in troubles]
    if good:
        yield Finding(Verdict.GOOD, "reactions", f"{len(rules)} rules in the settings; can tell {', '.join(good)}")
    elif not troubles:
        yield Finding(
            Verdict.UNUSED, "reactions", "nobody can be told", "write [notifiers.NAME], see docs/reactions.md"
        )


def _tokens(settings: Settings) -> Iterator[Finding]:
    from orakul.web.parts import WebSettings
    from orakul.web.tokens import Tokens

    jwt = settings.jwt
    ways = [name for name in ("secret", "public_key", "jwks_url") if getattr(jwt, name)]
    if len(ways) > 1:
        yield Finding(Verdict.BAD, "tokens", f"jwt.{' and jwt.'.join(ways)} are set", "keep one of them")
        return
    Tokens(b"x" * 32, WebSettings.of(settings, b"x" * 32).token)
    if not ways:
        yield Finding(Verdict.UNUSED, "tokens", "Orakul's own users only (orakul user add NAME --role admin)")
    elif not jwt.require_expiry:
        said = f"of your house, by jwt.{ways[0]}, also such as never expire"
        yield Finding(Verdict.WARNING, "tokens", said, "where all of yours have an `exp`: jwt.require_expiry = true")
    else:
        yield Finding(Verdict.GOOD, "tokens", f"of your house, by jwt.{ways[0]}; and Orakul's own users")


def _interface(_: Settings) -> Iterator[Finding]:
    from orakul.web.pages import INTERFACE

    if (INTERFACE / "index.html").is_file():
        yield Finding(Verdict.GOOD, "page", "is built")
    else:
        yield Finding(Verdict.BAD, "page", "is not built: only the REST routes work", "make install (in a clone)")


def _web(settings: Settings) -> Iterator[Finding]:
    import http.client

    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 (compared)
    address = f"http://{host}:{settings.port}"
    connection = http.client.HTTPConnection(host, settings.port, timeout=3)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        text = answer.read(2000).decode("utf-8", "replace")
    except OSError:
        yield Finding(Verdict.UNUSED, "web", f"nothing answers at {address} (orakul serve would)")
        return
    finally:
        connection.close()
    if answer.status == 200:  # noqa: PLR2004 (OK)
        yield Finding(Verdict.GOOD, "web", f"{address} is ready")
    else:
        yield Finding(Verdict.BAD, "web", f"{address} answers {answer.status}: {text[:300]}")
