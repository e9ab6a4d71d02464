"""A real PostgreSQL server in the user's data folder, from a wheel: nothing to install, nothing to administer.

Who starts it first starts it, who comes later joins it, and it is stopped when the last of them has closed or died,
however they died: there is no owner whose end would take the server from the others. Locks of the kernel decide, not
pid files:

| file in `postgres/` of the data folder | locked by |
| --- | --- |
| `users.lock` | shared: each user of the server. The supervisor waits for it exclusively, then stops the server |
| `start.lock` | exclusively: who is starting the server, or waiting for it to be ready |
| `supervisor.lock` | exclusively: the supervisor, all its life |

As root the server runs under an unprivileged account (`place`).
"""

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote

import msgspec

from orakul.errors import JournalUnavailableError
from orakul.journals.postgres.cluster import USER, clear_leftovers, configure, initialise, is_ready, version_of
from orakul.journals.postgres.locks import locked, try_lock
from orakul.journals.postgres.place import Place, find_programs, make_folder, prepare_place

__all__ = ["EmbeddedPostgres"]

_log = logging.getLogger("orakul.postgres")

_DATABASE = "orakul"
_LOG_LIMIT = 8 * 1024 * 1024
_SUPERVISOR = Path(__file__).with_name("supervisor.py")


class _State(msgspec.Struct):
    """What the supervisor says of the running server."""

    supervisor: int
    postmaster: int
    socket: str
    port: int
    tcp: bool


class EmbeddedPostgres:
    """The server of one data folder, as one user of it sees it.

    `start()` starts or joins it, `close()` leaves it; the server ends with its last user. It listens on a unix socket
    in a folder of its own, and on a loopback TCP port only where `tcp` asks for one (True: any free port), with a
    password in both cases. Safe to start at once from several processes.
    """

    def __init__(self, data_dir: Path | str, *, tcp: bool | int = False, timeout: float = 90.0) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.folder = self.data_dir / "postgres"
        self._tcp = tcp
        self._timeout = timeout
        self._users: int | None = None
        self._state: _State | None = None
        self._password = ""
        self._temporary = False
        self._guard = threading.RLock()
        self._closing = threading.Event()
        self._watch: threading.Thread | None = None
        self.joined = False
        """Whether the server was running when `start()` was called."""

    @classmethod
    def temporary(cls, *, tcp: bool | int = False) -> "EmbeddedPostgres":
        """Return a server with an empty folder that `close()` removes; for tests."""
        folder = Path(tempfile.mkdtemp(prefix="orakul-pg-"))
        folder.chmod(0o711)
        server = cls(folder, tcp=tcp)
        server._temporary = True
        return server

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address for psycopg and SQLAlchemy: over the unix socket."""
        state = self._running()
        folder = quote(state.socket, safe="")
        return f"postgresql://{USER}:{self._secret}@/{_DATABASE}?host={folder}&port={state.port}"

    @property
    def tcp_url(self) -> str:
        """The address over loopback TCP."""
        state = self._running()
        if not state.tcp:
            raise JournalUnavailableError(
                f"the server of {self.folder} was started without TCP, by who started it first"
            )
        return f"postgresql://{USER}:{self._secret}@127.0.0.1:{state.port}/{_DATABASE}"

    @property
    def _secret(self) -> str:
        return quote(self._password, safe="")

    @property
    def pid(self) -> int:
        """The process of the server as it is now (a crashed one is started again, with another)."""
        self._state = _read_state(self.folder) or self._state
        return self._running().postmaster

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    def start(self) -> Self:
        """Start the server, or join the running one; return when it takes connections.

        From then on it is seen to that it runs: should its supervisor be killed, the server is started again, at the
        same address.
        """
        with self._guard:
            try:
                if self._users is None or not self._is_alive():
                    self._start()
            except OSError as error:
                raise JournalUnavailableError(
                    f"PostgreSQL cannot be kept in {self.folder} by this user: {error}. "
                    "Set ORAKUL_DATA to a folder of your own, or ORAKUL_DATABASE_URL to a server that runs."
                ) from error
        if self._watch is None:
            self._watch = threading.Thread(target=self._keep_alive, name="orakul-postgres", daemon=True)
            self._watch.start()
        return self

    def close(self, timeout: float = 20.0) -> None:
        """Leave the server. The last one to leave waits until it has stopped."""
        self._closing.set()
        with self._guard:
            last = self._leave()
            if last:
                self._wait_until_stopped(time.monotonic() + timeout)
        if self._watch is not None:
            self._watch.join(5.0)
            self._watch = None
        self._closing.clear()
        if self._temporary:
            self.remove()

    def _keep_alive(self) -> None:
        """In a thread: notice that nobody keeps the server any more, and start it again."""
        while not self._closing.wait(1.0):
            with self._guard:
                if self._users is None or self._is_alive():
                    continue
                _log.warning("The supervisor of PostgreSQL in %s is gone; starting another", self.folder)
                try:
                    self._start()
                except (JournalUnavailableError, OSError) as error:
                    _log.error("PostgreSQL in %s cannot be started again yet: %s", self.folder, error)

    def remove(self) -> None:
        """Delete the database and its folder. Only when nobody uses it."""
        if not self.folder.exists():
            return
        keeper = try_lock(self.folder / "supervisor.lock", fcntl.LOCK_EX)
        if keeper is None:
            raise JournalUnavailableError(f"the server of {self.folder} is in use, so its files stay")
        try:
            link = self.folder / "cluster"
            if link.is_symlink():
                shutil.rmtree(link.readlink().parent, ignore_errors=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._temporary:
                shutil.rmtree(self.data_dir, ignore_errors=True)
        finally:
            os.close(keeper)

    # -- entering and leaving

    def _start(self) -> None:
        deadline = time.monotonic() + self._timeout
        make_folder(self.folder)
        if self._users is None:
            self._users = self._enter(deadline)
        _open_servers.add(self)
        try:
            with locked(self.folder / "start.lock", deadline):
                place = prepare_place(self.folder)
                self._state, self.joined = self._launch_or_join(place, deadline)
                self._password = (self.folder / "password").read_text().strip()
                if not self.joined:
                    self._ensure_database(place)
        except BaseException:
            if self._state is None:
                self._leave()
            raise

    def _enter(self, deadline: float) -> int:
        """Become a user of the server; where it is being stopped, wait until it has."""
        while True:
            held = try_lock(self.folder / "users.lock", fcntl.LOCK_SH)
            if held is not None:
                return held
            self._check(deadline, "the server that ran before has not stopped")
            time.sleep(0.01)

    def _leave(self) -> bool:
        """Stop being a user; return whether this was the last one."""
        held, self._users, self._state = self._users, None, None
        _open_servers.discard(self)
        if held is None:
            return False
        try:
            # Either nobody else holds it, or the supervisor gets it in this moment: both mean that we were the last.
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
            return True
        finally:
            os.close(held)

    def _forget(self) -> None:
        """In a forked child: let go of the descriptor without touching the parent's lock."""
        self._guard, self._closing, self._watch = threading.RLock(), threading.Event(), None
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _wait_until_stopped(self, deadline: float) -> None:
        shared_since = None
        while time.monotonic() < deadline:
            keeper = try_lock(self.folder / "supervisor.lock", fcntl.LOCK_EX)
            if keeper is not None:
                os.close(keeper)
                return
            other = try_lock(self.folder / "users.lock", fcntl.LOCK_SH)
            if other is None:
                shared_since = None  # the supervisor has it: the server is stopping
            else:
                os.close(other)
                shared_since = shared_since or time.monotonic()
                if time.monotonic() - shared_since > 1.0:
                    return  # somebody came in the meantime
            time.sleep(0.02)
        _log.warning("PostgreSQL in %s has not stopped in time; it goes on stopping by itself", self.folder)

    def _is_alive(self) -> bool:
        keeper = try_lock(self.folder / "supervisor.lock", fcntl.LOCK_EX)
        if keeper is not None:
            os.close(keeper)
        return keeper is None

    def _running(self) -> _State:
        if self._state is None:
            raise JournalUnavailableError(f"the server of {self.folder} is not started")
        return self._state

    def _check(self, deadline: float, trouble: str) -> None:
        if time.monotonic() > deadline:
            raise JournalUnavailableError(
                f"PostgreSQL in {self.folder}: {trouble} within {self._timeout:.0f} s; see {self.log}"
            )

    # -- starting

    def _launch(self, place: Place, keeper: int) -> None:
        """Start the supervisor, which starts the server and stays."""
        before = _read_state(self.folder)  # of a supervisor that was killed: its clients know that address
        (self.folder / "server.json").unlink(missing_ok=True)
        made_by = version_of(place.cluster)
        programs = find_programs(place.account, made_by)
        if made_by is None:
            initialise(place, programs)
        else:
            clear_leftovers(place.cluster)
        configure(place, programs)
        folder = place.socket_folder()
        port = 5432 if not self._tcp else _free_port(before) if self._tcp is True else int(self._tcp)
        listen = "127.0.0.1" if self._tcp else ""
        server = [programs["postgres"], "-D", str(place.cluster)]
        order = {
            "command": [*server, "-k", str(folder), "-p", str(port), "-c", f"listen_addresses={listen}"],
            "environment": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            "uid": place.account.uid if place.account else None,
            "gid": place.account.gid if place.account else None,
            "users": str(self.folder / "users.lock"),
            "pid_file": str(place.cluster / "postmaster.pid"),
            "state": str(self.folder / "server.json"),
            "facts": {"socket": str(folder), "port": port, "tcp": bool(self._tcp)},
        }
        with self._open_log() as log:
            subprocess.run(  # noqa: S603 (our own file)
                [sys.executable, "-I", "-S", str(_SUPERVISOR), msgspec.json.encode(order).decode()],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(keeper,),
                start_new_session=True,
            )

    def _open_log(self) -> BinaryIO:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        return self.log.open("ab")

    def _launch_or_join(self, place: Place, deadline: float) -> tuple[_State, bool]:
        """Return the state of the server when it is ready, and whether somebody else has started it."""
        launched = False
        while True:
            keeper = None if launched else try_lock(self.folder / "supervisor.lock", fcntl.LOCK_EX)
            if keeper is not None:
                try:
                    self._launch(place, keeper)
                finally:
                    os.close(keeper)  # the supervisor has inherited the lock with its own descriptor
                launched = True
            alive = self._is_alive()
            state = _read_state(self.folder)
            if alive and state is not None and is_ready(place.cluster, state.postmaster):
                return state, not launched
            if launched and not alive:
                raise JournalUnavailableError(
                    f"PostgreSQL in {self.folder} did not start. Its log ends:\n{self._log_tail()}"
                )
            self._check(deadline, "not ready")
            time.sleep(0.005)

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
        return "(no log)"

    def _ensure_database(self, place: Place) -> None:
        """Create our database in a new cluster."""
        import psycopg  # noqa: PLC0415 (only who starts the server needs it here)

        mark = place.home / "database.made"
        if mark.exists():
            return
        state = self._running()
        with psycopg.connect(
            host=state.socket, port=state.port, user=USER, password=self._password, dbname="postgres", autocommit=True
        ) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {_DATABASE}")
        mark.touch()


_open_servers: "weakref.WeakSet[EmbeddedPostgres]" = weakref.WeakSet()


def _forget_in_child() -> None:
    for server in list(_open_servers):
        server._forget()  # noqa: SLF001 (of this module)


os.register_at_fork(after_in_child=_forget_in_child)


def _read_state(folder: Path) -> _State | None:
    try:
        return msgspec.json.decode((folder / "server.json").read_bytes(), type=_State)
    except (OSError, msgspec.MsgspecError):
        return None


def _free_port(before: _State | None) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if before is not None and before.tcp:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", before.port))
                return before.port
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
