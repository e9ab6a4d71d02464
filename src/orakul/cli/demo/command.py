"""`orakul demo`: everything, on one command, with living sample work.

One folder (`demo` in the data folder) holds all of it: an embedded PostgreSQL, a broker, their logs, the sign-ins. The
worker and the feeder are processes of their own, as in real life; all end with this one, however it ends.
"""

import contextlib
import fcntl
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from orakul.cli.options import Data, Host, Port
from orakul.errors import JournalUnavailableError, OrakulError
from orakul.settings import Settings, load_settings

if TYPE_CHECKING:
    import socket

    from orakul.assembly import Assembly
    from orakul.cli.demo.children import Child
    from orakul.journals.postgres import EmbeddedPostgres

__all__ = ["command"]

log = logging.getLogger("demo")

_PORTS_TO_TRY = 20
_OTHERS = ("boris", "clara", "dmitri")


def command(
    *,
    host: Host = None,
    port: Port = None,
    data: Data = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when ready: the URL and the two sign-ins.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start clean: forget what earlier demos left.")] = False,
) -> None:
    """Show Orakul at work: its own PostgreSQL, broker and Celery worker, with sample tasks. Ctrl-C ends all of it."""
    from orakul.cli.logs import set_up_logs
    from orakul.cli.server import orderly_end

    settings = load_settings({"host": host, "port": port, "data": data}, defaults={"port": 0})
    set_up_logs("warning" if settings.log_level == "info" else settings.log_level)
    with orderly_end(), ExitStack() as ends:
        folder = settings.data / "demo"
        ends.enter_context(_alone_in(folder))
        listener = ends.enter_context(_listen(settings))
        goes_on = _begin(folder, fresh=fresh)
        _say("Going on with the last demo (orakul demo --fresh starts clean)." if goes_on else "Starting clean.")
        _run(_Demo(settings, folder, ends), listener, as_json=as_json, goes_on=goes_on)
    _say("The demo has ended, with all that it started.")


class _Demo:
    """The demo's parts as they come up; `ends` closes them in the opposite order."""

    def __init__(self, settings: Settings, folder: Path, ends: ExitStack) -> None:
        self.folder = folder
        self.ends = ends
        self.settings = msgspec.structs.replace(settings, data=folder, database_url=None, feed_url=None)

    def assemble(self) -> "Assembly":
        """Bring PostgreSQL and the broker up, and join the parts on them."""
        from orakul.assembly import assemble, open_database
        from orakul.cli.demo.exporting import prepare
        from orakul.cli.demo.reactions import NOTIFIERS, RULES
        from orakul.cli.demo.valkey import Valkey
        from orakul.journals.postgres import migrations

        _say("PostgreSQL …")
        database = open_database(self.settings)
        self.ends.callback(database.close)
        migrations.upgrade(database.url)
        _say("Broker …")
        broker = Valkey(self.folder / "broker", self._log("broker"), self._environment({}))
        self.ends.callback(broker.child.stop, 5)
        self.ends.callback(broker.child.ask_to_stop)
        broker.start()
        exports = msgspec.structs.replace(self.settings.exports, plans=(str(prepare(self.folder / "exports")),))
        self.settings = msgspec.structs.replace(self.settings, exports=exports)
        celery = msgspec.structs.replace(self.settings.celery, broker=broker.url, keep_messages=True)
        events = msgspec.structs.replace(self.settings.events, broker=f"{broker.url.rpartition('/')[0]}/2", notify=True)
        self.settings = msgspec.structs.replace(self.settings, celery=celery, events=events)
        pipelines = msgspec.structs.replace(self.settings.pipelines, redis=broker.url)
        self.settings = msgspec.structs.replace(self.settings, pipelines=pipelines)
        self.settings = msgspec.structs.replace(self.settings, notifiers=NOTIFIERS, rules=RULES)
        return assemble(self.settings, database)

    def start_work(self, assembly: "Assembly", owners: list[str], *, opening: bool) -> list["Child"]:
        """Start the worker, the feeder, and the program that explains itself."""
        from orakul.cli.demo.children import Child

        env = self._environment(
            {
                "ORAKUL_DATA": str(self.folder),
                "ORAKUL_DATABASE_URL": assembly.database.url,
                "ORAKUL_SECRET_KEY": assembly.secret,
                "ORAKUL_CELERY_BROKER": self.settings.celery.broker or "",
                "ORAKUL_EVENTS_BROKER": self.settings.events.broker or "",
                "ORAKUL_EVENTS_NOTIFY": "true",
                "ORAKUL_PIPELINES_REDIS": self.settings.pipelines.redis or "",
                "ORAKUL_EXPORTS_PLANS": ",".join(self.settings.exports.plans),
            }
        )
        worker = [sys.executable, "-m", "celery", "--app", "orakul.cli.demo.shop", "--quiet", "worker"]
        worker += ["--hostname", "bookshop@%h", "--concurrency", "3", "--queues", "celery,mail,reports"]
        worker += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
        feeder = [sys.executable, "-m", "orakul.cli.demo.feeder", "--owners", ",".join(owners)]
        accounts = [sys.executable, "-m", "orakul.cli.demo.accounts", "--owners", ",".join(owners)]
        parcels = [sys.executable, "-m", "orakul.cli.demo.parcels", "--owners", ",".join(owners)]
        pipelines = [sys.executable, "-m", "orakul.cli.demo.pipelines"]
        consumers = [sys.executable, "-m", "orakul", "consume", "orakul.cli.demo.parcels:consumers"]
        children = [
            Child("consumers", consumers, log=self._log("consumers"), env=env, cwd=self.folder),
            Child("parcels", parcels, log=self._log("parcels"), env=env, cwd=self.folder),
            Child("pipelines", pipelines, log=self._log("pipelines"), env=env, cwd=self.folder),
            Child("worker", worker, log=self._log("worker"), env=env, cwd=self.folder),
            Child("accounts", accounts, log=self._log("accounts"), env=env, cwd=self.folder),
            Child("feeder", feeder + ["--opening"] * opening, log=self._log("feeder"), env=env, cwd=self.folder),
        ]
        for child in children:
            child.start()
        self.ends.callback(_stop_work, children)  # should something go wrong before the web application is up
        return children

    def _log(self, name: str) -> Path:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        path = logs / f"{name}.log"
        path.write_bytes(b"")
        return path

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        """Return what the processes see: nothing of the user's own Orakul, as the demo is a world of its own."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
        return ours | {"PYTHONUNBUFFERED": "1"} | more


def _run(demo: _Demo, listener: "socket.socket", *, as_json: bool, goes_on: bool) -> None:
    from orakul.cli.server import serve_until_ended

    assembly = demo.assemble()
    people = _people(assembly, demo.folder)
    _say("Worker …")
    owners = [people["user"]["user_id"], *people["others"]]
    work = demo.start_work(assembly, owners, opening=not goes_on)

    def ready(url: str) -> None:
        shown = {
            who: {"username": people[who]["username"], "password": people[who]["password"]} for who in ("admin", "user")
        }
        if as_json:
            print(json.dumps({"url": url, **shown}), flush=True)
        else:
            _announce(url, shown, demo.folder)

    serve_until_ended(assembly, listener, ready, lambda: _stop_work(work), lambda: _tend(work))


def _announce(url: str, people: dict[str, dict[str, str]], folder: Path) -> None:
    print(
        f"\n  Orakul is at  {url}\n\n"
        f"  sign in as    {people['admin']['username']:<8} {people['admin']['password']}    (sees everything)\n"
        f"  or as         {people['user']['username']:<8} {people['user']['password']}    (an ordinary user)\n\n"
        f"  logs are in   {folder / 'logs'}\n"
        f"  Ctrl-C ends everything.\n",
        flush=True,
    )


def _people(assembly: "Assembly", folder: Path) -> dict[str, Any]:
    """Return the sign-ins, the same in each run; the accounts are made in the first."""
    path = folder / "sign-ins.json"
    if path.exists():
        people: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return people
    people = {}
    for who, username, role in (("admin", "admin", "admin"), ("user", "anna", "user")):
        password = "-".join(secrets.token_hex(2) for _ in range(3))
        account = assembly.accounts.add(username, password, role=role, user_id=username)
        people[who] = {"username": username, "password": password, "user_id": account.user_id}
    people["others"] = list(_OTHERS)
    path.touch(0o600, exist_ok=False)
    path.write_text(json.dumps(people), "utf-8")
    return people


def _begin(folder: Path, *, fresh: bool) -> bool:
    """Make the folder ready; return whether an earlier demo goes on in it."""
    if not fresh and (folder / "sign-ins.json").exists():
        return True
    if folder.exists():  # an old one, or what a first run left that was ended half-way
        from orakul.journals.postgres import EmbeddedPostgres

        _remove(EmbeddedPostgres(folder))
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return False


def _remove(server: "EmbeddedPostgres") -> None:
    """Delete the old database; one whose demo was killed a moment ago is still being stopped."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return server.remove()
        except JournalUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def _alone_in(folder: Path) -> Iterator[IO[str]]:
    """Hold the folder's lock; say so where another demo holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OrakulError(
                f"a demo already runs in {folder}: use it, end it, or start another with --data and another folder"
            ) from None
        yield lock


def _listen(settings: Settings) -> "socket.socket":
    """Take the wanted port; where none was said, the usual one or the next that is free."""
    from orakul.cli.server import bind

    usual = 8080
    if settings.port:
        return bind(settings.host, settings.port)
    for port in range(usual, usual + _PORTS_TO_TRY):
        with contextlib.suppress(OrakulError):
            return bind(settings.host, port)
    return bind(settings.host, 0)


def _tend(children: list["Child"]) -> None:
    """Start again what was killed: worth a try, to see what becomes of its tasks."""
    for child in children:
        if not child.alive:
            _say(f"The {child.name} has ended; starting it again.")
            child.start()


def _stop_work(children: list["Child"]) -> None:
    if any(child.alive for child in children):
        _say("Ending …")
    for child in reversed(children):
        child.ask_to_stop(signal.SIGQUIT if child.name == "worker" else signal.SIGTERM)
    for child in children:
        child.stop(3)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
