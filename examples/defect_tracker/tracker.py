"""`make tracker`: the two services, their consumer, a mail server and Orakul, all on embedded parts.

Everything is a process of its own, as in `docker-compose.yml`; all of them write to this one's standard output, and end
with it, however it ends. Each start is a clean one (`--keep` goes on with what the last one left).
"""

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

import msgspec
import psycopg

from orakul.assembly import open_database
from orakul.cli.demo.children import end_with_parent
from orakul.cli.demo.valkey import Valkey
from orakul.cli.server import orderly_end
from orakul.errors import OrakulError
from orakul.journals.postgres import Connections, PostgresAccounts, migrations
from orakul.settings import load_settings

HERE = Path(__file__).parent
OURS = ("users", "projects", "defects", "orakul")
PATIENCE = 60.0


class Tracker:
    """The processes, in the order in which they were started."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, *command: str) -> None:
        """Start a process whose output is ours."""
        before = os.getpid()

        def tie() -> None:
            end_with_parent()
            if os.getppid() != before:  # the parent died before the kernel was asked
                os._exit(1)

        process = subprocess.Popen(  # noqa: S603 (our own programs)
            [sys.executable, "-m", *command],
            cwd=HERE,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us, who end the others in order
            preexec_fn=tie,  # noqa: PLW1509 (takes no locks)
        )
        self._processes.append((name, process))

    def service(self, name: str, app: str, port: int) -> None:
        """Start an ASGI application."""
        self.start(name, "uvicorn", app, "--port", str(port), "--log-level", "warning", "--no-access-log")

    def wait_for(self, url: str) -> None:
        """Return when the address answers."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(OSError), urlopen(url, timeout=2):  # noqa: S310 (our own address)
                return
            time.sleep(0.05)
        raise OrakulError(f"{url} did not answer within {PATIENCE:g} s")

    def check(self) -> None:
        """Raise where one has ended."""
        for name, process in self._processes:
            if process.poll() is not None:
                raise OrakulError(f"{name} has ended with {process.returncode}; what it said stands above")

    def stop(self) -> None:
        """End all, the youngest first."""
        for _, process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for _, process in reversed(self._processes):
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def free_port(wanted: int = 0) -> int:
    """Return the port, or a free one where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare(database_url: str, *, keep: bool) -> None:
    """Make the tables of Orakul, and its administrator; a clean start forgets what was there."""
    if not keep:
        with psycopg.connect(database_url, autocommit=True) as connection:
            for schema in OURS:
                connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())
    migrations.upgrade(database_url)
    with Connections(database_url) as connections:
        accounts = PostgresAccounts(connections)
        if accounts.find("admin") is None:
            accounts.add("admin", "123456", role="admin", user_id="admin")


def run(port: int, *, keep: bool) -> None:
    """Start everything, and mind it until Ctrl-C."""
    if free_port(port) != port:
        raise OrakulError(f"port {port} is taken by another program: end it, or say --port and another")
    settings = load_settings()
    folder = settings.data / "tracker"
    if not keep:
        for part in ("broker", "spool"):
            shutil.rmtree(folder / part, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    with orderly_end(), contextlib.ExitStack() as ends:
        say("PostgreSQL and a broker …")
        database = ends.enter_context(
            open_database(msgspec.structs.replace(settings, data=folder, database_url=None, feed_url=None))
        )
        prepare(database.url, keep=keep)
        broker = Valkey(folder / "broker", folder / "broker.log", os.environ)
        ends.callback(broker.child.stop, 5)
        ends.callback(broker.child.ask_to_stop)
        broker.start()
        projects, defects, mail, room = free_port(), free_port(), free_port(), free_port(8080)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ORAKUL_", "TRACKER_"))}
        tracker = Tracker(
            clean
            | {
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": str(HERE),
                "ORAKUL_DATA": str(folder),
                "ORAKUL_DATABASE_URL": database.url,
                "ORAKUL_EVENTS_BROKER": broker.url,
                "ORAKUL_EVENTS_NOTIFY": "true",
                "ORAKUL_PORT": str(room),
                "ORAKUL_LOG_LEVEL": "warning",
                "TRACKER_DATABASE_URL": database.url,
                "TRACKER_SECRET": secrets.token_urlsafe(32),
                "TRACKER_PROJECTS_URL": f"http://127.0.0.1:{projects}",
                "TRACKER_DEFECTS_URL": f"http://127.0.0.1:{defects}",
                "TRACKER_SMTP_PORT": str(mail),
            }
        )
        ends.callback(tracker.stop)
        say("Services …")
        tracker.start("orakul", "orakul", "serve")
        tracker.start("mail server", "backend.mail_sink", "--port", str(mail))
        tracker.service("projects-service", "backend.service_projects.app:app", projects)
        tracker.service("defects-service", "backend.service_defects.app:app", defects)
        tracker.service("gateway", "backend.gateway.app:app", port)
        tracker.start("consumer", "orakul", "consume", "backend.consumers.email_consumer:consumers")
        for address in (projects, defects, port, room):
            tracker.wait_for(f"http://127.0.0.1:{address}/healthz")
        say(
            f"\n  The defect tracker is at  http://localhost:{port}   (testuser, inspector, admin; password 123456)\n"
            f"  Orakul watches it at      http://localhost:{room}   (admin 123456)\n"
            "  Events and letters are printed below; Ctrl-C ends everything.\n"
        )
        while True:
            time.sleep(0.5)
            tracker.check()
    say("The tracker has ended, with all that it started.")


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description="The defect tracker on embedded parts.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--keep", action="store_true", help="go on with what the last run left")
    given = parser.parse_args()
    try:
        run(given.port, keep=given.keep)
    except OrakulError as error:
        say(f"tracker: {error}")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
