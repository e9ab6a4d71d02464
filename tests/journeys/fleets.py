"""Celery workers and publishers as real processes, recording into a real journal.

fleet = Fleet(folder, database_url, broker, backend, app="pitfalls")
worker = fleet.worker("--pool=threads")
task_id = fleet.publish("result = add.delay(1, 2).id")
task = fleet.ended(task_id)
"""

import contextlib
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from servers import Process, wait_for

from orakul.errors import TaskNotFoundError
from orakul.journals.postgres import PostgresOrders, PostgresReader
from orakul.tasks import Change, Status, Task
from orakul.tasks.status import FINAL

APPS = Path(__file__).parent / "apps"


class Fleet:
    """One application with its broker, its data folder and the journal that it reports to."""

    def __init__(self, folder: Path, database_url: str, broker: str, *, app: str, backend: str | None = None) -> None:
        self.folder = folder
        self.app = app
        self.queue = f"q-{uuid.uuid4().hex[:8]}"
        self.reader = PostgresReader(database_url)
        self.orders = PostgresOrders(database_url)
        self.data = folder / "data"
        self.workers: list[Process] = []
        self._publisher: subprocess.Popen[str] | None = None
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
        self.environment = {
            **clean,
            "ORAKUL_DATA": str(self.data),
            "ORAKUL_DATABASE_URL": database_url,
            "APP_BROKER": broker,
            "APP_QUEUE": self.queue,
            "PYTHONPATH": str(APPS),
            "C_FORCE_ROOT": "1",
        }
        if backend:
            self.environment["APP_BACKEND"] = backend

    def worker(self, *options: str, ready: bool = True, **environment: str) -> Process:
        """Start a worker and return when it is ready; its name is the last line of its log with `@`."""
        name = f"w{len(self.workers)}"
        worker = Process(
            [sys.executable, "-m", "celery", "-A", self.app, "worker", "-l", "info", "-n", f"{name}@test", *options],
            log=self.folder / f"{name}.log",
            env={**self.environment, **environment},
            cwd=self.folder,
        )
        worker.name = f"{name}@test"  # type: ignore[attr-defined]
        self.workers.append(worker)
        if ready:
            wait_for(lambda: f"{name}@test ready." in worker.text() or not worker.alive, f"worker {name}", timeout=30)
            assert worker.alive, worker.text()
        return worker

    def publish(self, code: str) -> Any:
        """Run code in the publisher's process and return its `result`."""
        if self._publisher is None:
            self._publisher = subprocess.Popen(
                [sys.executable, str(APPS / "publish.py"), self.app],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(self.folder / "publisher.log").open("w"),
                env=self.environment,
                cwd=self.folder,
                text=True,
            )
            self._read()
        assert self._publisher.stdin is not None
        print(json.dumps(code), file=self._publisher.stdin, flush=True)
        answer = self._read()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _read(self) -> Any:
        assert self._publisher is not None
        assert self._publisher.stdout is not None
        line = self._publisher.stdout.readline()
        assert line, (self.folder / "publisher.log").read_text()
        return json.loads(line)

    def send(self, call: str) -> str:
        """Publish one task, `name.delay(…)`, and return its id."""
        return str(self.publish(f"result = {call}.id"))

    def task(self, task_id: str) -> Task | None:
        try:
            return self.reader.task(task_id)
        except TaskNotFoundError:
            return None

    def until(self, task_id: str, *statuses: Status, attempt: int = 1, timeout: float = 20.0) -> Task:
        """Wait until the task is in one of the states, in this attempt or a later one, and return it."""

        def there() -> Task | None:
            task = self.task(task_id)
            return task if task and task.status in statuses and task.attempt >= attempt else None

        try:
            return wait_for(there, f"task {task_id} to be {statuses}", timeout=timeout)  # type: ignore[return-value]
        except AssertionError as error:
            lines = "\n".join(line for worker in self.workers for line in worker.text().splitlines()[-40:])
            raise AssertionError(f"{error}; it is {self.task(task_id)}\n{self.history(task_id)}\n{lines}") from error

    def ended(self, task_id: str, *, attempt: int = 1, timeout: float = 20.0) -> Task:
        """Wait until the task has ended, and what its publisher told has arrived too, and return it."""
        task = self.until(task_id, *FINAL, attempt=attempt, timeout=timeout)
        # The publisher ships by itself: on a busy machine its `pending` may come after the worker's end.
        with contextlib.suppress(AssertionError):
            wait_for(lambda: any(each.status is Status.PENDING for each in self.history(task_id)), "pending", 10)
        return self.task(task_id) or task

    def history(self, task_id: str) -> list[Change]:
        try:
            return self.reader.history(task_id).items
        except TaskNotFoundError:
            return []

    def close(self) -> None:
        if self._publisher is not None:
            assert self._publisher.stdin is not None
            self._publisher.stdin.close()
            self._publisher.wait(20)
            assert self._publisher.stdout is not None
            self._publisher.stdout.close()
        for worker in self.workers:
            worker.send(15)
        for worker in self.workers:
            worker.stop(timeout=15)
