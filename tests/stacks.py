"""Orakul as a user runs it: `orakul serve` as a process, its users, and Celery workers beside it.

    def test_retry(make_stack, page):
        stack = make_stack(broker="rabbitmq")             # or "redis" (the default of the `stack` fixture)
        worker = stack.worker("shop:app", "--pool", "threads", "--queues", "celery,mail")
        stack.publish("shop", "shop.add.delay(1, 2)")     # in a process of its own, as a user's web application would
        stack.sign_in(page, "admin")                      # the browser is signed in, at stack.url
        task = stack.wait_for_task(status="completed")    # by REST
        stack.serve.kill9(); stack.start_serve()          # on the same port

Users are `admin`, `viewer`, `user` (id "7", who owns what is published `as_user("7")`) and `other` (id "8"), all with
PASSWORD. Applications are modules in tests/journeys/apps; their broker is in the environment variables
ORAKUL_CELERY_BROKER and APP_BROKER.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from servers import Process, free_port, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["PASSWORD", "PEOPLE", "Stack"]

PASSWORD = "correct horse battery"
PEOPLE = {"admin": ("admin", "1"), "viewer": ("viewer", "2"), "user": ("user", "7"), "other": ("user", "8")}
APPS = Path(__file__).parent / "journeys" / "apps"


class Stack:
    """One Orakul with its fleet; `stop` ends all of it."""

    def __init__(self, folder: Path, database_url: str, broker_url: str, **settings: str) -> None:
        self.folder = folder
        self.database_url = database_url
        self.broker_url = broker_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: list[Process] = []
        self._tokens: dict[str, str] = {}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
        self.environment = {
            **clean,
            "ORAKUL_DATA": str(folder / "data"),
            "ORAKUL_DATABASE_URL": database_url,
            "ORAKUL_CELERY_BROKER": broker_url,
            "ORAKUL_PORT": str(self.port),
            "ORAKUL_SECRET_KEY": "a secret key of tests, long enough",
            "APP_BROKER": broker_url,
            "PYTHONPATH": str(APPS),
            "PYTHONUNBUFFERED": "1",
            "C_FORCE_ROOT": "1",
        } | settings
        self._add_people()
        self.start_serve()

    def _add_people(self) -> None:
        from orakul.journals.postgres import Connections, PostgresAccounts

        with Connections(self.database_url) as connections:
            accounts = PostgresAccounts(connections)
            for name, (role, user_id) in PEOPLE.items():
                accounts.add(name, PASSWORD, role=role, user_id=user_id)

    def start_serve(self) -> Process:
        """Start `orakul serve`, again on the same port, and return when it answers."""
        self.serve = self.spawn([sys.executable, "-m", "orakul", "serve"], "serve")
        wait_for(self._answers, "orakul serve to answer", 40)
        return self.serve

    def _answers(self) -> bool:
        assert self.serve.alive, self.serve.text()
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    def spawn(self, command: list[str], name: str, **environment: str) -> Process:
        """Start a process with the stack's environment; its log is `<folder>/<name>.log`."""
        log = self.folder / f"{name}.log"
        process = Process(command, log=log, env={**self.environment, **environment}, cwd=self.folder)
        self.processes.append(process)
        return process

    def worker(self, app: str, *options: str, name: str = "", **environment: str) -> Process:
        """Start a Celery worker of a module in tests/journeys/apps and return when it is ready."""
        name = name or f"w{len(self.processes)}"
        command = [sys.executable, "-m", "celery", "--app", app, "worker", "--hostname", f"{name}@test", *options]
        worker = self.spawn([*command, "--loglevel", "INFO"], name, **environment)
        wait_for(lambda: f"{name}@test ready" in worker.text() or not worker.alive, f"worker {name}", 40)
        assert worker.alive, worker.text()
        return worker

    def publish(self, module: str, code: str, **environment: str) -> Any:
        """Run code in a new process that has imported the module; return what it leaves in `result` (JSON)."""
        before, after = (
            f"import json, {module}\nfrom orakul import as_user\nresult = None",
            "print('\\n' + json.dumps(result))",
        )
        text = f"{before}\n{code}\n{after}"
        done = subprocess.run(
            [sys.executable, "-c", text],
            env={**self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def token(self, who: str = "admin") -> str:
        """Return a bearer token of one of the people."""
        if who not in self._tokens:
            answer = httpx2.post(f"{self.url}/v1/auth/token", data={"username": who, "password": PASSWORD}, timeout=20)
            answer.raise_for_status()
            self._tokens[who] = answer.json()["access_token"]
        return self._tokens[who]

    def client(self, who: str = "admin") -> httpx2.Client:
        """Return an HTTP client signed in as one of the people."""
        return httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token(who)}"}, timeout=20, trust_env=False
        )

    def tasks(self, who: str = "admin", **query: Any) -> list[dict[str, Any]]:
        """Return a page of tasks."""
        with self.client(who) as client:
            answer = client.get("/api/tasks", params={"limit": 500, **query})
            answer.raise_for_status()
            items: list[dict[str, Any]] = answer.json()["items"]
            return items

    def task(self, task_id: str, who: str = "admin") -> dict[str, Any]:
        """Return one task."""
        with self.client(who) as client:
            answer = client.get(f"/api/tasks/{task_id}")
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found

    def wait_for_task(
        self, task_id: str | None = None, *, status: str, timeout: float = 30, **query: Any
    ) -> dict[str, Any]:
        """Wait until the task (or any that fits the query) has the status; return it."""

        def look() -> dict[str, Any] | None:
            try:
                if task_id is None:
                    return next(iter(self.tasks(status=status, **query)), None)
                found = self.task(task_id)
            except httpx2.HTTPError as error:
                raise OSError(str(error)) from error
            return found if found["status"] == status else None

        found = wait_for(look, f"task {task_id or query} to be {status}", timeout)
        assert isinstance(found, dict)
        return found

    def sign_in(self, page: "Page", who: str = "admin", path: str = "/") -> None:
        """Sign the browser page in by cookie, and open the path."""
        answer = page.request.post(
            f"{self.url}/api/session",
            headers={"Authorization": f"Bearer {self.token(who)}", "Origin": self.url, "Sec-Fetch-Site": "same-origin"},
        )
        assert answer.ok, f"{answer.status} {answer.text()}"
        page.goto(f"{self.url}{path}")

    def stop(self) -> None:
        """End every process: workers first."""
        for process in reversed(self.processes):
            process.send(15)
        for process in reversed(self.processes):
            process.stop(3, timeout=8)  # SIGQUIT: a worker does not wait for its tasks


def making(folder: Path, database_url: str, url_of: Callable[[str], str]) -> Iterator[Callable[..., Stack]]:
    """Yield a function that makes stacks, and stop them at the end."""
    made: list[Stack] = []

    def make(broker: str = "redis", **settings: str) -> Stack:
        place = folder / f"stack{len(made)}"
        place.mkdir()
        made.append(Stack(place, database_url, url_of(broker), **settings))
        return made[-1]

    yield make
    for stack in made:
        stack.stop()
