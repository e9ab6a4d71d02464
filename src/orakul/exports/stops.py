"""Requests to stop: from this process, from another with the same data folder, from the journal.

`orakul serve` asks by a file in `exports/stop/` of the data folder, which any exporting process on it sees within half
a second; a process elsewhere reads the standing orders, where it has the database's address.
"""

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from orakul.errors import UnavailableError
from orakul.tasks.orders import StandingOrders

__all__ = ["Stops", "ask_to_stop"]

_log = logging.getLogger("orakul.exports")

_EVERY = 0.5
_STALE = 7 * 24 * 3600.0


def ask_to_stop(folder: Path, task_id: str, attempt: int) -> None:
    """Ask whoever exports with this data folder to stop a task; letters that nobody took are thrown away in time."""
    letters = folder / "exports" / "stop"
    letters.mkdir(parents=True, exist_ok=True)
    _letter(folder, task_id, attempt).touch()
    for old in letters.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _STALE:
                old.unlink()


def _letter(folder: Path, task_id: str, attempt: int) -> Path:
    name = hashlib.sha256(f"{attempt} {task_id}".encode()).hexdigest()[:32]
    return folder / "exports" / "stop" / name


class Stops:
    """What was asked of the tasks of one run, looked up in a thread until `close`."""

    def __init__(
        self,
        tasks: Iterable[tuple[str, int]],
        folder: Path | None = None,
        orders: Callable[[], StandingOrders | None] | None = None,
    ) -> None:
        self._attempts = dict(tasks)
        self._folder = folder
        self._open = orders
        self._orders: StandingOrders | None = None
        self._asked: set[str] = set()
        self._end = threading.Event()
        self._look()
        self._thread = threading.Thread(target=self._watch, name="orakul-export-stops", daemon=True)
        self._thread.start()

    def ask(self, task_id: str) -> None:
        """Ask from within the process."""
        self._asked.add(task_id)

    def is_asked(self, task_id: str) -> bool:
        """Say whether the task is to stop."""
        return task_id in self._asked

    def close(self) -> None:
        """Look no more, and take the letters away."""
        self._end.set()
        self._thread.join(5)
        for letter in self._letters().values():
            with contextlib.suppress(OSError):
                letter.unlink(missing_ok=True)

    def _letters(self) -> dict[str, Path]:
        folder = self._folder
        if folder is None:
            return {}
        return {task: _letter(folder, task, attempt) for task, attempt in self._attempts.items()}

    def _watch(self) -> None:
        while not self._end.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        self._asked.update(task for task, letter in self._letters().items() if letter.exists())
        if self._open is None:
            return
        try:
            if self._orders is None:
                self._orders = self._open()
                if self._orders is None:
                    self._open = None
                    return
            found = self._orders.cancellations(list(self._attempts))
        except UnavailableError:
            return  # it is asked again; letters are seen without the database
        except Exception:  # noqa: BLE001 (the export goes on, whatever this is)
            _log.exception("The standing orders cannot be read: only Ctrl-C and this machine's server stop the export")
            self._open = None
            return
        self._asked.update(each.task_id for each in found if each.attempt >= self._attempts[each.task_id])
