"""A fleet under command, for the control tests: a journal, a broker, workers as real processes."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from servers import Process, wait_for

from orakul.errors import TaskNotFoundError
from orakul.journals.postgres import Connections, PostgresJournal, PostgresOrders, PostgresReader
from orakul.runners.celery.control import CeleryRunner
from orakul.tasks import Status, Task
from orakul.tasks.control import Control
from orakul.tasks.sealing import Sealer, secret_in

HERE = Path(__file__).parent


class ControlFleet:
    """The parts of one test, and what a test does with them."""

    def __init__(self, database_url: str, broker: str, folder: Path, spawn: Callable[..., Process]) -> None:
        self.broker = broker
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.data = folder / "orakul"
        self._spawn = spawn
        self._log = folder
        self.connections = Connections(database_url)
        self.journal = PostgresJournal(self.connections)
        self.reader = PostgresReader(self.connections)
        self.orders = PostgresOrders(self.connections)
        self.control = self.control_of(broker)
        self.client = Celery("client", broker=broker, set_as_current=False)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")},
            "CONTROL_BROKER": broker,
            "CONTROL_NOTES": str(self.notes),
            "ORAKUL_DATABASE_URL": database_url,
            "ORAKUL_DATA": str(self.data),
            "PYTHONPATH": str(HERE),
        }

    def control_of(self, broker: str) -> Control:
        """Return a control that sends its commands to this broker."""
        runner = CeleryRunner(broker, Sealer(secret_in(self.data)), fleet=self.orders)
        return Control(self.journal, self.reader, self.orders, {"celery": runner})

    def worker(
        self, pool: str = "prefork", *, queues: str = "celery", concurrency: int = 1, name: str | None = None
    ) -> Process:
        """Start a worker and wait until it is ready."""
        name = name or f"w{uuid.uuid4().hex[:6]}@test"
        log = self._log / f"{name}-{uuid.uuid4().hex[:6]}.log"
        command = [sys.executable, "-m", "celery", "-A", "control_app", "worker", "-P", pool, "-c", str(concurrency)]
        command += ["-n", name, "-Q", queues, "-l", "INFO", "--without-gossip", "--without-mingle"]
        process = self._spawn(command, env=self.env, log=log, cwd=HERE)
        process.name = name
        wait_for(lambda: f"{name} ready" in process.text() or not process.alive, "the worker", timeout=60)
        assert process.alive, process.text()
        return process

    def publish(self, name: str, word: str, *args: float, queue: str = "celery", count: int = 1) -> list[str]:
        """Publish from another, instrumented process, and wait until the journal knows of it."""
        command = [sys.executable, str(HERE / "control_app.py"), name, queue, str(count), word, *map(str, args)]
        done = subprocess.run(command, env=self.env, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        ids = done.stdout.split()
        for task_id in ids:
            self.wait(task_id, *Status)
        return ids

    def send(self, name: str, *args: Any, **options: Any) -> str:
        """Publish from this process, which is not instrumented; faster."""
        return str(self.client.send_task(f"control_app.{name}", args, ignore_result=True, **options).id)

    def task(self, task_id: str) -> Task | None:
        try:
            return self.reader.task(task_id)
        except TaskNotFoundError:
            return None

    def wait(self, task_id: str, *statuses: Status, attempt: int | None = None, timeout: float = 30.0) -> Task:
        """Wait until the task has one of the statuses (and is at this attempt)."""

        def there() -> Task | None:
            task = self.task(task_id)
            fits = task and task.status in statuses and attempt in (None, task.attempt)
            return task if fits else None

        try:
            return wait_for(there, f"{task_id} to be {statuses}", timeout=timeout)  # type: ignore[return-value]
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.task(task_id)}") from error

    def noted(self, word: str) -> list[str]:
        """Return what the tasks noted under this word."""
        path = self.notes / word
        return path.read_text().splitlines() if path.exists() else []

    def make_good(self, word: str) -> None:
        """Let the flaky task of this word succeed from now on."""
        (self.notes / f"{word}.good").touch()
