"""Processes that end with the tests, and waiting for what they do."""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["Process", "free_port", "wait_for"]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def free_port() -> int:
    """Return a loopback TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], object], what: str, timeout: float = 30.0, every: float = 0.05) -> object:
    """Call until the answer is true and return it; fail with `what` after `timeout` seconds.

    An AssertionError or OSError of the condition counts as "not yet", and is told in the failure.
    """
    deadline = time.monotonic() + timeout
    last: BaseException | None = None
    while True:
        try:
            if answer := condition():
                return answer
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}" + (f"; last: {last!r}" if last else "")) from last
        time.sleep(every)


class Process:
    """A child process that ends with us. Start it from the main thread: the kernel ties it to the starting thread."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        death_signal: int = signal.SIGKILL,
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self._death_signal = death_signal
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops this one orderly
                preexec_fn=self._tie,  # noqa: PLW1509 (no locks are taken in it)
            )

    def _tie(self) -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, self._death_signal)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests run in the background of a shell

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def text(self) -> str:
        """Return what it has printed."""
        return self.log.read_text("utf-8", errors="replace")

    def send(self, number: int) -> None:
        if self.alive:
            self.popen.send_signal(number)

    def wait(self, timeout: float = 30.0) -> int:
        return self.popen.wait(timeout)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20.0) -> int:
        """Ask it to end; kill it, and what it started in its session, when it does not. Return the exit code."""
        self.send(number)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill9(group=True)

    def kill9(self, *, group: bool = False) -> int:
        """SIGKILL it (with `group`, its whole session's first process group) and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self.popen.kill()
        return self.wait()

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)
