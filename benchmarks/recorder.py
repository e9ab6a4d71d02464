"""What recording an event costs the program that it happens in, against what else could take it.

    python benchmarks/recorder.py [--json] [--events 50000] [--runs 5]

The floor is one `write` of a line that is ready. The peers: a `logging.FileHandler` with the same JSON (as durable
against the end of the process, and shipped by nobody), an SQLite table with a commit an event, and a queue in memory,
which `kill -9` loses. "ships" has the recorder's own thread bring the events into a journal that takes 2 ms a batch;
"dispatcher" tells five observers, each by a queue of its own, until all have been told.
"""

import argparse
import json
import logging
import os
import platform
import queue
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from orakul.events import Dispatcher, Event
from orakul.tasks.recorder import Recorder


class SlowJournal:
    """Takes everything, 2 ms a batch."""

    def append(self, events: Sequence[Event]) -> int:
        time.sleep(0.002)
        return len(events)

    def transition(self, *_: object, **__: object) -> object:
        raise NotImplementedError


def an_event() -> Event:
    data = {"kind": "celery", "name": "shop.tasks.send", "attempt": 1, "run": 0, "queue": "celery", "worker": "w@h"}
    return Event(event_type="task.in_progress", task_id="0190c1f0-demo", user_id="7", data=data)


def per_call(work: Callable[[], object], count: int) -> float:
    work()
    began = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - began) / count * 1e6


def floor(folder: Path, count: int) -> float:
    line = msgspec.json.encode(an_event()) + b"\n"
    descriptor = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return per_call(lambda: os.write(descriptor, line), count)
    finally:
        os.close(descriptor)


def file_handler(folder: Path, count: int) -> float:
    logger = logging.getLogger("bench")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = logging.FileHandler(folder / "log")
    logger.addHandler(handler)
    event = an_event()
    try:
        return per_call(lambda: logger.info(event.to_json().decode()), count)
    finally:
        logger.removeHandler(handler)
        handler.close()


def sqlite(folder: Path, count: int) -> float:
    connection = sqlite3.connect(folder / "sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE events (body TEXT)")
    event, encode = an_event(), msgspec.json.encode
    try:
        return per_call(lambda: connection.execute("INSERT INTO events VALUES (?)", (encode(event),)), count)
    finally:
        connection.close()


def memory_queue(_: Path, count: int) -> float:
    waiting: queue.SimpleQueue[Event] = queue.SimpleQueue()
    event = an_event()
    return per_call(lambda: waiting.put(event), count)


def recorder(folder: Path, count: int) -> float:
    one = Recorder(folder / "spool", ship=False)
    event = an_event()
    try:
        return per_call(lambda: one.record(event), count)
    finally:
        one.close()


def recorder_ships(folder: Path, count: int) -> float:
    one = Recorder(folder / "shipped", SlowJournal)
    event = an_event()
    try:
        return per_call(lambda: one.record(event), count)
    finally:
        one.close(30.0)


def dispatcher(_: Path, count: int) -> float:
    class Counter:
        def __init__(self) -> None:
            self.seen = 0

        def observe(self, event: Event) -> None:
            del event
            self.seen += 1

    observers, event = [Counter() for _ in range(5)], an_event()
    with Dispatcher(observers, queue_size=count + 10) as one:
        began = time.perf_counter()
        for _ in range(count):
            one.publish(event)
        one.close(60.0)
        return (time.perf_counter() - began) / count * 1e6


WAYS = {
    "floor: write": floor,
    "recorder": recorder,
    "recorder, ships": recorder_ships,
    "logging.FileHandler": file_handler,
    "SQLite, a commit each": sqlite,
    "queue in memory": memory_queue,
    "dispatcher, 5 observers": dispatcher,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(given.runs):
        for name, way in WAYS.items():  # in turns, so that a busy moment meets all alike
            with tempfile.TemporaryDirectory() as folder:
                taken[name].append(way(Path(folder), given.events))
    medians = {name: round(statistics.median(values), 2) for name, values in taken.items()}
    if given.json:
        print(json.dumps({"machine": platform.platform(), "microseconds": medians}))
        return
    print(f"microseconds an event; median of {given.runs} runs of {given.events} events; {platform.platform()}")
    for name, value in medians.items():
        print(f"  {name:26} {value:8.2f}   {value / medians['floor: write']:5.1f} x the floor")


if __name__ == "__main__":
    main()
