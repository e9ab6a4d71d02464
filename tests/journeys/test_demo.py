"""`orakul demo`, as a newcomer runs it: one command, a living page, nothing left behind."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from servers import free_port, wait_for

from orakul.journals.postgres import EmbeddedPostgres

ORAKUL = [sys.executable, "-m", "orakul"]


def words(process: psutil.Process) -> str:
    """Return the command line of a process, empty where it has gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


class Demo:
    """A demo under test: its process, and what it said."""

    def __init__(self, data: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
        environment = {**clean, "ORAKUL_DATA": str(data), "ORAKUL_PORT": str(self.port)}
        data.mkdir(exist_ok=True)
        self.errors = data.parent / f"stderr-{self.port}"
        self.out = data.parent / f"stdout-{self.port}"
        # Standard output and error are told apart here, so no Process of the test servers.
        self.popen = subprocess.Popen(
            [*ORAKUL, "demo", "--json", *options],
            stdout=self.out.open("wb"),
            stderr=self.errors.open("wb"),
            env=environment,
            cwd=data,
            start_new_session=True,
        )
        self.family: set[psutil.Process] = set()

    def ready(self) -> dict[str, Any]:
        def line() -> str:
            if self.popen.poll() is not None:
                pytest.fail(self.errors.read_text())
            self.family |= set(psutil.Process(self.popen.pid).children(recursive=True))
            return self.out.read_text()

        wait_for(line, "the demo to be ready", 90)
        self.family |= set(psutil.Process(self.popen.pid).children(recursive=True))
        said: dict[str, Any] = json.loads(self.out.read_text())
        return said

    def end(self, number: int = signal.SIGINT, timeout: float = 40) -> int:
        with contextlib.suppress(psutil.NoSuchProcess):
            self.family |= set(psutil.Process(self.popen.pid).children(recursive=True))
        self.popen.send_signal(number)
        return self.popen.wait(timeout)

    def left_behind(self) -> list[str]:
        def gone() -> bool:
            return not any(self._lives(process) for process in self.family)

        with contextlib.suppress(AssertionError):
            wait_for(gone, "all processes to end", 30, every=0.1)
        return [words(process) for process in self.family if self._lives(process)]

    @staticmethod
    def _lives(process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return False


@pytest.fixture
def demos(tmp_path: Path) -> Iterator[list[Demo]]:
    """Those that a test started; all are ended at its end, and their databases removed (root's are not in tmp_path)."""
    started: list[Demo] = []
    yield started
    for demo in started:
        if demo.popen.poll() is None:
            demo.end(signal.SIGKILL)
        demo.left_behind()
    if (tmp_path / "data" / "demo").exists():
        EmbeddedPostgres(tmp_path / "data" / "demo").remove()


def signed_in(said: dict[str, Any], who: str) -> httpx2.Client:
    form = {"username": said[who]["username"], "password": said[who]["password"]}
    answer = httpx2.post(f"{said['url']}/v1/auth/token", data=form, timeout=20)
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return httpx2.Client(base_url=said["url"], headers=headers, timeout=20, trust_env=False)


def tasks(client: httpx2.Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/tasks", params={"limit": 500, **query})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@pytest.mark.slow
def test_the_demo_lives_shows_each_their_own_and_leaves_nothing_behind(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path / "data")
    demos.append(demo)
    said = demo.ready()

    assert demo.out.read_text().count("\n") == 1
    assert set(said) == {"url", "admin", "user"}
    assert said["url"] == f"http://127.0.0.1:{demo.port}"
    with signed_in(said, "admin") as admin, signed_in(said, "user") as user:
        wait_for(lambda: len(tasks(admin, status="completed")) >= 20, "work to be done", 60)
        wait_for(lambda: tasks(admin, status="failed", kind="celery"), "some work to fail", 60)
        assert len({task["user_id"] for task in tasks(admin)}) >= 3
        assert {task["user_id"] for task in tasks(user)} == {said["user"]["username"]}

        worked = tasks(admin, status="failed", kind="celery")[0]["task_id"]
        failed = admin.get(f"/api/tasks/{worked}").json()
        assert failed["error"]["traceback"]
        assert failed["can"]["retry"]["allowed"], failed["can"]
        answer = admin.post(f"/api/tasks/{failed['task_id']}/retry")
        assert answer.status_code in {200, 202}, answer.text
        again = f"/api/tasks/{failed['task_id']}"
        wait_for(lambda: admin.get(again).json()["attempt"] > failed["attempt"], "the retry to be taken", 20)

        moved = set()
        with admin.stream("GET", "/api/tasks/subscribe") as stream:
            until = time.monotonic() + 30
            for line in stream.iter_lines():
                if line.startswith("data:") and '"new_status"' in line:
                    moved.add(json.loads(line[5:])["new_status"])
                if {"in_progress", "completed"} <= moved or time.monotonic() > until:
                    break
        assert {"in_progress", "completed"} <= moved

    assert demo.end(signal.SIGINT) == 0
    assert demo.left_behind() == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", demo.port)) != 0

    second = Demo(tmp_path / "data")
    demos.append(second)
    said_again = second.ready()
    assert "Going on" in second.errors.read_text()
    assert said_again["admin"] == said["admin"]
    with signed_in(said_again, "admin") as admin:
        assert failed["task_id"] in {task["task_id"] for task in tasks(admin)}
        before = len(tasks(admin))
        wait_for(lambda: len(tasks(admin)) > before, "new work", 30)
    assert second.end(signal.SIGTERM) == 0
    assert second.left_behind() == []


@pytest.mark.slow
def test_a_killed_demo_leaves_nothing_behind_and_a_fresh_one_starts_clean(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path / "data")
    demos.append(demo)
    said = demo.ready()
    rival = subprocess.run(
        [*ORAKUL, "demo", "--data", str(tmp_path / "data")], capture_output=True, text=True, check=False, timeout=30
    )
    assert rival.returncode == 1
    assert "a demo already runs in" in rival.stderr
    assert "Traceback" not in rival.stderr

    with signed_in(said, "admin") as admin:
        wait_for(lambda: tasks(admin), "tasks", 30)
        old = {task["task_id"] for task in tasks(admin)}
        next(process for process in psutil.Process(demo.popen.pid).children() if "shop" in words(process)).kill()
        wait_for(lambda: "The worker has ended; starting it again." in demo.errors.read_text(), "it to be noticed", 10)
        before = len(tasks(admin, status="completed"))
        wait_for(lambda: len(tasks(admin, status="completed")) > before, "the new worker to work", 40)
    demo.end(signal.SIGKILL)
    assert demo.left_behind() == []

    fresh = Demo(tmp_path / "data", "--fresh")
    demos.append(fresh)
    said = fresh.ready()
    assert "Starting clean" in fresh.errors.read_text()
    with signed_in(said, "admin") as admin:
        wait_for(lambda: tasks(admin), "tasks", 30)
        assert not old & {task["task_id"] for task in tasks(admin)}
    fresh.end()


def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = Demo(tmp_path / "data", port=port)
        assert demo.popen.wait(30) == 2
    said = demo.errors.read_text()
    assert f"port {port} on 127.0.0.1 is taken" in said
    assert "--port" in said
    assert "Traceback" not in said
    assert not (tmp_path / "data" / "demo" / "postgres").exists()


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_of_the_demo_moves(tmp_path: Path, demos: list[Demo], page: Any) -> None:
    demo = Demo(tmp_path / "data")
    demos.append(demo)
    said = demo.ready()
    page.goto(said["url"])
    page.get_by_label(re.compile("user", re.IGNORECASE)).first.fill(said["admin"]["username"])
    page.locator("input[type=password]").fill(said["admin"]["password"])
    page.keyboard.press("Enter")
    page.get_by_text("Completed").first.wait_for(timeout=30_000)
    before = page.locator("body").inner_text()
    page.wait_for_function("text => document.body.innerText !== text", arg=before, timeout=30_000)
    page.console_errors[:] = [error for error in page.console_errors if "401" not in error]  # before the sign-in
    page.close()  # before the demo ends: it would go on asking, and tell of each refusal
    demo.end()
