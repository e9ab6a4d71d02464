"""The command line, as somebody new to it uses it: each wrong step is one readable sentence, each right one works."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from servers import Process, free_port, wait_for
from stacks import Stack

ORAKUL = [sys.executable, "-m", "orakul"]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run orakul in an empty folder, with nothing of Orakul in the environment but what is given."""
    folder = tmp_path / "work"
    folder.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}

    def run(*arguments: str, text: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ORAKUL, *arguments],
            env={**clean, "ORAKUL_DATA": str(tmp_path / "data"), **environment},
            cwd=folder,
            capture_output=True,
            text=True,
            input=text or "",
            check=False,
            timeout=60,
        )

    return run


def test_without_arguments_it_shows_what_there_is(run: Run) -> None:
    said = run()
    for command in ("demo", "serve", "tail", "watch", "db", "user", "doctor"):
        assert re.search(rf"^  {command} ", said.stdout + said.stderr, re.MULTILINE)


def test_it_tells_its_version(run: Run) -> None:
    assert re.fullmatch(r"orakul \d+\.\d+\.\d+\n", run("--version").stdout)


@pytest.mark.parametrize("command", ["demo", "serve", "tail", "doctor", "watch celery", "db upgrade", "user add"])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    said = run(*command.split(), "--help")
    assert said.returncode == 0
    assert "Usage: orakul" in said.stdout


def test_a_mistyped_command_is_led_to_the_right_one(run: Run) -> None:
    said = run("srve")
    assert said.returncode == 2
    assert "serve" in said.stderr


@pytest.mark.parametrize("command", ["serve", "doctor", "db status", "user list", "demo", "tail"])
def test_a_wrong_setting_is_named_by_every_command(run: Run, command: str) -> None:
    said = run(*command.split(), ORAKUL_LEASE_SECOND="3")
    assert said.returncode == 2
    assert said.stderr == (
        "orakul: environment variable ORAKUL_LEASE_SECOND: no such setting; did you mean ORAKUL_LEASE_SECONDS?\n"
    )


@pytest.mark.parametrize("command", ["db status", "db upgrade", "user list"])
def test_a_database_that_does_not_answer_is_named_without_its_password(run: Run, command: str) -> None:
    url = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/shop"
    said = run(*command.split(), ORAKUL_DATABASE_URL=url)
    assert said.returncode == 1
    assert "does not answer" in said.stderr
    assert "me@127.0.0.1" in said.stderr
    assert "hunter2" not in said.stderr
    assert "Traceback" not in said.stderr


def test_the_tables_are_made_and_their_version_told(run: Run, empty_database_url: str) -> None:
    before = run("db", "status", ORAKUL_DATABASE_URL=empty_database_url)
    assert before.returncode == 1
    assert "run orakul db upgrade" in before.stdout
    assert run("db", "upgrade", ORAKUL_DATABASE_URL=empty_database_url).returncode == 0
    assert "up to date" in run("db", "upgrade", ORAKUL_DATABASE_URL=empty_database_url).stdout
    after = run("db", "status", ORAKUL_DATABASE_URL=empty_database_url)
    assert after.returncode == 0
    assert "up to date" in after.stdout


def test_users_come_and_go(run: Run, database_url: str) -> None:
    def user(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return run("user", *arguments, text=text, ORAKUL_DATABASE_URL=database_url)

    assert "no users yet" in user("list").stderr
    made = user("add", "ada", "--role", "admin")
    assert made.returncode == 0
    assert re.search(r"password: \S{12,}", made.stdout)
    assert user("add", "ann", "--id", "7", "--password-stdin", text="correct horse\n").returncode == 0
    assert user("list").stdout.split() == ["ada", "admin", "ada", "ann", "user", "7"]
    assert len(user("token", "ann").stdout.split(".")) == 3

    again = user("add", "ada", "--role", "admin")
    assert again.returncode == 1
    assert "already" in again.stderr
    assert user("add", "eve", "--role", "king").returncode == 2
    assert "no user 'eve'" in user("token", "eve").stderr
    assert user("remove", "ann").returncode == 0
    assert "no user 'ann'" in user("remove", "ann").stderr


def test_the_doctor_finds_a_healthy_house_healthy(run: Run, database_url: str, redis_url: str) -> None:
    said = run("doctor", ORAKUL_DATABASE_URL=database_url, ORAKUL_CELERY_BROKER=redis_url, ORAKUL_PORT=str(free_port()))
    assert "!!  page" in said.stdout or said.returncode == 0, said.stdout  # the interface may not be built here
    assert "tables     up to date" in said.stdout
    assert "answers" in said.stdout


def test_the_doctor_names_each_trouble_with_a_remedy(run: Run, empty_database_url: str) -> None:
    broker = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    said = run(
        "doctor",
        ORAKUL_DATABASE_URL=empty_database_url,
        ORAKUL_CELERY_BROKER=broker,
        ORAKUL_JWT_SECRET="s" * 40,
        ORAKUL_JWT_JWKS_URL="https://id.example.com/keys",
    )
    assert said.returncode == 1
    assert "!!  tables" in said.stdout
    assert "orakul db upgrade" in said.stdout
    assert "!!  broker" in said.stdout
    assert "hunter2" not in said.stdout
    assert "keep one of them" in said.stdout
    assert "need attention" in said.stdout
    away = run("doctor", ORAKUL_DATABASE_URL=f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x")
    assert away.returncode == 1
    assert "does not answer" in away.stdout
    assert "hunter2" not in away.stdout + away.stderr
    assert "Traceback" not in away.stdout + away.stderr


def test_watch_without_a_broker_asks_for_one(run: Run) -> None:
    said = run("watch", "celery")
    assert said.returncode == 2
    assert "--broker" in said.stderr


def test_tail_without_somebody_asks_who(run: Run) -> None:
    said = run("tail")
    assert said.returncode == 2
    assert "--user" in said.stderr


def test_tail_tells_where_nobody_answers(run: Run) -> None:
    port = free_port()
    said = run("tail", "--user", "ann", "--url", f"http://127.0.0.1:{port}", text="secret\n")
    assert said.returncode == 1
    assert f"http://127.0.0.1:{port} does not answer" in said.stderr


@pytest.mark.slow
def test_tail_shows_what_moves_and_outlives_a_restart(stack: Stack, spawn: Callable[..., Process]) -> None:
    from orakul.events import Event
    from orakul.journals.postgres import PostgresJournal

    journal = PostgresJournal(stack.database_url)

    def tell(task_id: str, *kinds: str) -> None:
        data: dict[str, Any] = {"kind": "celery", "name": "shop.\x1b[2Jpack", "attempt": 1, "run": 0}
        journal.append([Event(event_type=kind, task_id=task_id, user_id="7", data=data) for kind in kinds])

    environment: Mapping[str, str] = stack.environment
    command = [*ORAKUL, "tail", "--token", stack.token("admin"), "--url", stack.url]
    tail = spawn(command, env=environment, cwd=stack.folder)
    as_json = spawn([*command, "--json"], env=environment, cwd=stack.folder)
    wait_for(lambda: httpx2.get(f"{stack.url}/metrics").text.count("orakul_stream_connections 2"), "both to listen")
    tell("aaaaaaaa-1", "task.pending", "task.in_progress")
    wait_for(lambda: "in_progress" in tail.text(), "the first change")
    assert "  aaaaaaaa  shop." in tail.text()
    assert "\x1b" not in tail.text()  # a task's name does not command the terminal

    stack.serve.kill9()
    tell("bbbbbbbb-2", "task.pending", "task.completed")
    stack.start_serve()
    tell("cccccccc-3", "task.pending")
    wait_for(lambda: "cccccccc" in tail.text(), "the last change", 40)
    assert "bbbbbbbb" in tail.text()
    assert "connected again, nothing was missed" in tail.text()

    wait_for(lambda: "cccccccc" in as_json.text(), "the same as JSON", 40)
    lines = [json.loads(line) for line in as_json.text().splitlines() if line.startswith("{")]
    seqs = [line["seq"] for line in lines]
    assert seqs == sorted(set(seqs))
    assert len(seqs) == 5
    tail.send(signal.SIGINT)
    assert tail.wait(10) == 130
    assert "Traceback" not in tail.text()


def test_serve_goes_on_trying_where_the_database_is_away(
    tmp_path: Path, own_postgres: Callable[[], Any], spawn: Callable[..., Process]
) -> None:
    server = own_postgres()
    server.stop()
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
    environment = {
        **clean,
        "ORAKUL_DATA": str(tmp_path / "data"),
        "ORAKUL_DATABASE_URL": server.url,
        "ORAKUL_PORT": str(port),
    }
    serve = spawn([*ORAKUL, "serve"], env=environment, cwd=tmp_path)

    def ready() -> int:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code
        except httpx2.HTTPError:
            return 0

    wait_for(lambda: ready() == 503, "serve to say that it is not ready", 30)
    assert "does not answer" in serve.text()
    assert serve.text().count("does not answer") < 8
    server.start()
    wait_for(lambda: ready() == 200, "serve to be ready", 40)
    assert serve.stop() == 0
    assert "Traceback" not in serve.text()


def test_serve_without_its_broker_is_ready_and_says_so(
    make_stack: Callable[..., Stack], own_redis: Callable[[], Any]
) -> None:
    broker = own_redis()
    stack = make_stack(ORAKUL_CELERY_BROKER=broker.url)

    def told() -> str:
        answer = httpx2.get(f"{stack.url}/readyz", timeout=10)
        assert answer.status_code == 200
        return str(answer.json()["checks"]["broker"])

    wait_for(lambda: told() == "ok", "the broker to be well", 20)
    broker.stop()
    wait_for(lambda: str(broker.port) in told(), "its absence to be told", 30)
    assert "repeating standing orders" in stack.serve.text()
    broker.start()
    wait_for(lambda: told() == "ok", "the broker to be well again", 40)
    assert "works again" in stack.serve.text()


def test_serve_names_a_taken_port(run: Run, stack: Stack) -> None:
    said = run("serve", "--port", str(stack.port), ORAKUL_DATABASE_URL=stack.database_url)
    assert said.returncode == 2
    assert f"port {stack.port} on 127.0.0.1 is taken" in said.stderr
