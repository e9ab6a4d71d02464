"""Reading ahead: the source reads the next rows while the last ones are written."""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable
from typing import Any, TypeVar

__all__ = ["ahead"]

T = TypeVar("T")
_DEPTH = 2


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """Give the items, read by a thread that is at most two of them ahead.

    Closing the generator before its end waits for that thread: what it reads from must have been told to stop.
    """
    found: queue.Queue[tuple[str, Any]] = queue.Queue(_DEPTH)
    stopped = threading.Event()

    def put(what: str, value: Any) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                found.put((what, value), timeout=0.2)
                return True
        return False

    def read() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:  # noqa: BLE001  # raised where the items are read
            put("error", error)

    thread = threading.Thread(target=read, name="orakul-export-reader", daemon=True)
    thread.start()
    try:
        while True:
            what, value = found.get()
            if what == "end":
                return
            if what == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()
