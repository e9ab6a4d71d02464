"""Holds one PostgreSQL server for as long as anybody uses it. Run as a script, by `embedded`; imports nothing of ours.

Whoever uses the server holds a shared lock on `users.lock`. This process asks for the same lock exclusively and gets it
when the last user has closed or died, whichever way, since the kernel frees the locks of the dead: then it stops the
server and ends. Its own life is the lock on the descriptor it inherits, so that a second one is never started.

A server that ends without having been told (killed, out of memory) is started again. If this process itself is
killed, the kernel tells the server to stop (`PR_SET_PDEATHSIG`; a thread of the program could not hold that bond,
which ends with the thread).
"""

import _thread
import contextlib
import fcntl
import json
import os
import signal
import sys
import time

TYPE_CHECKING = False  # as typing has it, without its cost at the start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PR_SET_PDEATHSIG = 1
_PATIENCE = 15.0  # of a fast shutdown, before the immediate one
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_SETTLED = 60.0  # after this long a failure is a fresh one


class Supervisor:
    """The server's keeper; `order` is what `embedded` wants started and as whom."""

    def __init__(self, order: "dict[str, Any]") -> None:
        self.order = order
        self.postmaster = 0
        self.stopping = False
        self.was_ready = False
        self.prctl = _prctl()

    def run(self) -> None:
        """Keep the server running until it is not wanted."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        pause = _SHORTEST_PAUSE
        watching = False
        while self.is_wanted():
            started = time.monotonic()
            self.launch()
            if not watching:
                watching = True
                _thread.start_new_thread(self.wait_for_users, ())
            was_ready = self.wait_for_server()
            if self.is_wanted() and not was_ready and pause == _SHORTEST_PAUSE:
                break  # it never came up: the log says why, and whoever waits for it reads that
            if time.monotonic() - started > _SETTLED:
                pause = _SHORTEST_PAUSE
            if self.is_wanted():
                _say(f"the server ended by itself; starting it again in {pause:.1f} s")
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        _unlink(self.order["state"])

    def is_wanted(self) -> bool:
        """Say whether anybody still uses the server."""
        return not self.stopping

    def launch(self) -> None:
        """Start the server as a child that cannot outlive this process."""
        keeper = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                self.become_server(keeper)
            finally:
                os._exit(127)
        self.postmaster = child
        if self.stopping:
            self.stop()
        _write(self.order["state"], {**self.order["facts"], "supervisor": keeper, "postmaster": child})

    def become_server(self, keeper: int) -> None:
        """Turn this forked child into `postgres`."""
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        if self.order["uid"] is not None:
            os.setgroups([self.order["gid"]])
            os.setgid(self.order["gid"])
            os.setuid(self.order["uid"])
        os.umask(0o077)
        if self.prctl is not None:  # after the change of user, which clears it
            self.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
            if os.getppid() != keeper:
                return
        os.execve(self.order["command"][0], self.order["command"], self.order["environment"])  # noqa: S606 (no shell wanted)

    def wait_for_server(self) -> bool:
        """Wait until the server has ended; return whether it had been ready for use."""
        os.waitpid(self.postmaster, 0)
        # The server takes its pid file away when it stops in order; the mark of having been ready is kept by us.
        ready = self.was_ready
        self.was_ready = False
        return ready

    def wait_for_users(self) -> None:
        """In a thread: wait until nobody uses the server, then stop it."""
        _thread.start_new_thread(self.note_ready, ())
        descriptor = os.open(self.order["users"], os.O_RDWR | os.O_CLOEXEC)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                break
            except InterruptedError:
                continue
        self.stop()

    def note_ready(self) -> None:
        """In a thread: notice when the server has come up."""
        while not self.stopping:
            if not self.was_ready:
                self.was_ready = _is_ready(self.order["pid_file"], self.postmaster)
            time.sleep(1.0 if self.was_ready else 0.02)

    def stop(self) -> None:
        """Ask the server for a fast shutdown, and for an immediate one where that takes too long."""
        self.stopping = True
        _kill(self.postmaster, signal.SIGINT)
        _thread.start_new_thread(self.insist, (self.postmaster,))

    def insist(self, postmaster: int) -> None:
        """In a thread: do not let a stuck shutdown keep the folder for ever."""
        time.sleep(_PATIENCE)
        _kill(postmaster, signal.SIGQUIT)


def _prctl() -> "Callable[..., int] | None":
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # noqa: PLC0415 (only where it is used: it is a third of the start-up)

    return ctypes.CDLL(None, use_errno=True).prctl


def _is_ready(pid_file: str, postmaster: int) -> bool:
    try:
        with open(pid_file, encoding="utf-8") as file:  # noqa: PTH123 (pathlib would double the start-up)
            lines = file.read().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(postmaster) and lines[7].strip() == "ready"  # noqa: PLR2004 (line 8)


def _write(path: str, content: "dict[str, Any]") -> None:
    fresh = f"{path}.{os.getpid()}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(content).encode())
    finally:
        os.close(descriptor)
    os.replace(fresh, path)  # noqa: PTH105 (as above)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108 (as above)


def _kill(pid: int, number: int) -> None:
    if pid:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _say(text: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    os.write(2, f"{stamp} [{os.getpid()}] orakul supervisor: {text}\n".encode())


def main() -> None:
    """Leave the starter's process, so that it has no child to wait for, and keep the server."""
    order = json.loads(sys.argv[1])
    if os.fork():
        os._exit(0)
    os.chdir("/")
    Supervisor(order).run()


if __name__ == "__main__":
    main()
