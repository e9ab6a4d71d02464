"""Processes that end with the one that started them, however it ends."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["Child", "end_with_parent"]

_PR_SET_PDEATHSIG = 1


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Let the kernel send this process the signal when its parent dies (on Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number))


class Child:
    """A process with a log file, in a session of its own: Ctrl-C reaches the parent only, which then ends it in order.

    Start it from the main thread: the kernel ties it to the thread that starts it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        cwd: Path,
        feed: str | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._env = dict(env)
        self._cwd = cwd
        self._feed = feed
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        before = os.getpid()

        def tie() -> None:
            end_with_parent()
            if os.getppid() != before:  # the parent died before the kernel was asked
                os._exit(1)

        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 (our own programs)
                self._command,
                stdin=subprocess.PIPE if self._feed is not None else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
                preexec_fn=tie,  # noqa: PLW1509 (takes no locks)
            )
        if self._feed is not None and self._process.stdin is not None:
            with self._process.stdin as pipe, contextlib.suppress(BrokenPipeError):
                pipe.write(self._feed.encode())

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Wait until it is ready; return False where it ended or took too long."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.alive:
            if ready():
                return True
            time.sleep(0.03)
        return False

    def ask_to_stop(self, number: int = signal.SIGTERM) -> None:
        """Send the signal, and do not wait."""
        if self._process is not None and self.alive:
            self._process.send_signal(number)

    def stop(self, patience: float) -> None:
        """Wait until it has ended; when the patience is over, kill it and what it has started."""
        if self._process is None:
            return
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(5)

    def last_words(self) -> str:
        """Return the end of its log, for an error message."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-8:])
        return ""
