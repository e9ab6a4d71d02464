"""Exports as their users have them: by command, by REST, on the fleet, killed in the middle, told to TDTP watchers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import Process, free_port, wait_for
from stacks import Stack

ORAKUL = [sys.executable, "-m", "orakul"]
FAST = "sql: \"select i as id, 'строка ' || i as name from generate_series(1, 5000) i\""
SLOW = "sql: \"select i as id, repeat('x', 20000) as filling, pg_sleep(0.005) from generate_series(1, 20000) i\""


def write_plan(folder: Path, database: str, *, more: str = "", slow: str = SLOW, name: str = "sales") -> Path:
    """Write a plan of three scripts: one with rows and columns to choose, one with none, one that takes long."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(
        f"""
database: {json.dumps(database)}
user: {{login: ivanov, database_id: 1, manager_id: 2, stream_id: 3}}
output: {{directory: out, format: csv}}
{more}
groups:
  - id: quick
    scripts:
      - id: rows
        columns: [{{id: 1, name: id}}, {{id: 2, name: name}}]
        variants: [{{id: v, {FAST}}}]
      - id: none
        variants: [{{id: v, sql: "select 1 as a where false"}}]
  - id: long
    scripts:
      - id: slow
        variants: [{{id: v, {slow}}}]
  - id: wrong
    scripts:
      - id: missing
        variants: [{{id: v, sql: "select * from there_later"}}]
""",  # noqa: S608 (no SQL: YAML, of constants)
        "utf-8",
    )
    return path


@pytest.fixture
def orakul(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run orakul, with nothing of Orakul in the environment but what is given."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ORAKUL, *arguments],
            env=environment_of(tmp_path, **environment),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def environment_of(folder: Path, **environment: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
    return {**clean, "ORAKUL_DATA": str(folder / "data"), **environment}


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# -- by command


def test_exit_code_and_table_say_how_it_ended(
    orakul: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, database_url: str
) -> None:
    plan = str(write_plan(tmp_path / "plans", database_url))
    well = orakul("export", plan, "--group", "quick")
    assert well.returncode == 0, well.stderr
    lines = {line.split()[0]: line.split() for line in well.stdout.splitlines() if "/" in line.split(" ")[0]}
    assert lines["quick/rows"][2:5] == ["Success", "5,000", "1"]
    assert lines["quick/none"][2:5] == ["NoData", "0", "0"]
    assert "Not recorded" in well.stderr
    assert not (tmp_path / "data").exists()

    failed = orakul("export", plan, "--script", "missing")
    assert failed.returncode == 1
    assert 'relation "there_later" does not exist' in failed.stdout

    chosen = orakul("export", plan, "--script", "rows", "--columns", "2")
    assert chosen.returncode == 0
    assert (tmp_path / "plans/out/quick/rows-v.csv").read_text("utf-8").splitlines()[:2] == ["name", "строка 1"]

    for arguments, says in (
        ((), "say what to export"),
        (("--all", "--group", "quick"), "say what to export"),
        (("--script", "rws"), "did you mean rows?"),
        (("--script", "rows", "--columns", "7"), "no column with id 7"),
        (("--script", "rows", "--columns", "x"), "with commas"),
    ):
        wrong = orakul("export", plan, *arguments)
        assert wrong.returncode == 2, arguments
        assert says in wrong.stderr
        assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_leaves_no_half_file(
    spawn: Callable[..., Process], tmp_path: Path, database_url: str, number: int
) -> None:
    plan = write_plan(tmp_path / "plans", database_url)
    running = spawn([*ORAKUL, "export", str(plan), "--group", "long"], env=environment_of(tmp_path), cwd=tmp_path)
    wait_for(lambda: list((tmp_path / "plans/out").rglob("*")), "the export to write")
    running.send(number)
    assert running.wait() == 130
    assert "long/slow  ■ Cancelled" in running.text()
    assert files_in(tmp_path / "plans/out") == []


def test_it_is_recorded_where_there_is_an_orakul_and_spooled_where_its_database_is_away(
    orakul: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, database_url: str
) -> None:
    from orakul.journals.postgres import Connections, PostgresReader

    plan = str(write_plan(tmp_path / "plans", database_url))
    recorded = orakul("export", plan, "--group", "quick", "--owner", "7", ORAKUL_DATABASE_URL=database_url)
    assert "Recorded as task" in recorded.stderr
    run_id = recorded.stderr.split("Recorded as task ")[1].split()[0]
    with Connections(database_url) as connections:
        reader = PostgresReader(connections)
        run = reader.task(run_id, owner="7")
        assert (run.kind, run.name, run.status, run.outcome) == ("export", "sales/quick", "completed", "Success")
        tree = {task.task_id.removeprefix(run_id): task for task in reader.children(run_id).items}
        assert {name: (task.kind, task.status, task.outcome) for name, task in tree.items()} == {
            ":quick": ("export_group", "completed", "Success"),
            ":quick:rows": ("export_script", "completed", "Success"),
            ":quick:none": ("export_script", "completed", "NoData"),
        }
        assert tree[":quick:rows"].parent_id == f"{run_id}:quick"
        script = reader.task(f"{run_id}:quick:rows")
        assert [(file["name"], file["rows"]) for file in script.result["files"]] == [("rows-v.csv", 5000)]
        told = [stored.event.event_type for stored in reader.events(types=["export.*"]).items]
    pair = ["export.script_start", "export.script_finished"]
    assert told == ["export.group_start", *pair, *pair, "export.run_finished"]

    away = f"postgresql://nobody@127.0.0.1:{free_port()}/x"
    spooled = orakul("export", plan, "--group", "quick", ORAKUL_DATABASE_URL=away)
    assert spooled.returncode == 0, "the export does not suffer"
    assert "Spooled as task" in spooled.stderr


# -- by REST


@pytest.fixture
def served(make_stack: Callable[..., Stack], tmp_path: Path, database_url: str) -> Stack:
    write_plan(tmp_path / "plans", database_url)
    return make_stack(ORAKUL_EXPORTS_PLANS=str(tmp_path / "plans"), ORAKUL_LEASE_SECONDS="6")


def start(stack: Stack, who: str = "admin", **order: Any) -> str:
    with stack.client(who) as client:
        answer = client.post("/api/exports", json={"plan": "sales.yaml", **order})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["task_id"])


def test_started_watched_downloaded_cancelled_and_retried(served: Stack, tmp_path: Path, database_url: str) -> None:
    import psycopg

    run = start(served, group="quick")
    served.wait_for_task(run, status="completed")
    with served.client() as client:
        files = client.get(f"/api/exports/{run}/files").json()["items"]
        assert [(file["name"], file["rows"]) for file in files] == [("rows-v.csv", 5000)]
        got = client.get(f"/{files[0]['href']}")
        assert got.status_code == 200
        assert got.content == (tmp_path / "plans/out/quick/rows-v.csv").read_bytes()
        assert "attachment" in got.headers["content-disposition"]
        assert client.get(f"/api/exports/{run}/files/1").status_code == 404
        assert client.get(f"/api/exports/{run}/files/../../etc/passwd").status_code == 404
        assert client.post("/api/exports", json={"plan": "../sales.yaml"}).status_code == 422
        assert client.post("/api/exports", json={"plan": "sales.yaml", "script": "rws"}).status_code == 422
        plans = client.get("/api/exports/plans").json()
        assert [group["id"] for group in plans["items"][0]["groups"]] == ["quick", "long", "wrong"]
    with served.client("viewer") as client:
        assert client.get(f"/{files[0]['href']}").status_code == 403
    with served.client("other") as client:
        assert client.get(f"/{files[0]['href']}").status_code == 404
        assert client.get("/api/exports").json()["items"] == []
        assert client.get("/api/exports/plans").json() == {"items": [], "may_start": False, "next": None}

    long = start(served, group="long")
    moved = wait_for(lambda: (served.task(f"{long}:long:slow")["progress"] or {}).get("rows"), "progress of the script")
    assert isinstance(moved, int)
    with served.client() as client:
        assert client.delete(f"/api/tasks/{long}").status_code == 200
    assert served.wait_for_task(long, status="cancelled")["outcome"] == "Cancelled"
    assert served.wait_for_task(f"{long}:long:slow", status="cancelled")["outcome"] == "Cancelled"
    assert not (tmp_path / "plans/out/long/slow-v.csv").exists()

    wrong = start(served, group="wrong")
    assert "there_later" in served.wait_for_task(wrong, status="failed")["error"]["message"]
    script = served.wait_for_task(f"{wrong}:wrong:missing", status="failed")
    assert script["can"]["retry"]["allowed"], script["can"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE there_later AS SELECT 1 AS a")
    with served.client() as client:
        assert client.post(f"/api/tasks/{script['task_id']}/retry").status_code == 200
        again = served.wait_for_task(script["task_id"], status="completed")
        assert (again["attempt"], again["result"]["rows_exported"]) == (2, 1)
        assert served.task(wrong)["status"] == "failed", "a script that is run again does not change what the run was"
        assert client.post(f"/api/tasks/{wrong}/retry").status_code == 200
    served.wait_for_task(wrong, status="completed")
    assert served.task(script["task_id"])["attempt"] == 3
    assert served.task(f"{wrong}:wrong")["status"] == "completed"


def test_an_exporter_that_is_killed_is_noticed_and_starting_again_gives_all(
    served: Stack, tmp_path: Path, database_url: str
) -> None:
    plan = write_plan(tmp_path / "own", database_url)
    command = [*ORAKUL, "export", str(plan), "--group", "long"]
    process = served.spawn(command, "export")
    wait_for(lambda: (tmp_path / "own/out").exists() and served.tasks(kind="export_script", status="in_progress"), "it")
    process.kill9()
    lost = served.wait_for_task(status="failed", kind="export")
    assert "worker lost" in lost["error"]["message"] or "killed" in lost["error"]["message"]
    served.wait_for_task(status="failed", kind="export_script")
    served.wait_for_task(status="failed", kind="export_group")
    final = [name for name in files_in(tmp_path / "own/out") if not any(part[0] == "." for part in Path(name).parts)]
    assert final == [], "what is not whole has no final name"

    write_plan(tmp_path / "own", database_url, slow='sql: "select i as id from generate_series(1, 20000) i"')
    with served.client() as client:
        assert client.post(f"/api/tasks/{lost['task_id']}/retry").status_code == 200
    again = served.wait_for_task(lost["task_id"], status="completed")
    assert again["result"]["rows_exported"] == 20_000
    assert len((tmp_path / "own/out/long/slow-v.csv").read_text().splitlines()) == 20_001
    left = [name for name in files_in(tmp_path / "own/out") if "slow-v.csv" not in name and "manifest" not in name]
    assert left == [], "what the killed one left behind is gone"


def test_a_server_that_is_killed_gives_up_its_own_at_its_next_start(served: Stack) -> None:
    run = start(served, group="long")
    served.wait_for_task(run, status="in_progress")
    served.serve.kill9()
    served.start_serve()
    failed = served.wait_for_task(run, status="failed")
    assert failed["can"]["retry"]["allowed"]


# -- on the fleet


def test_with_a_fleet_it_runs_as_a_celery_task(served: Stack) -> None:
    worker = served.worker("bureau:app", "--pool", "prefork", "--concurrency", "2")
    wait_for(lambda: served.client().get("/api/workers").json()["items"], "the worker to be known")
    run = start(served, group="quick")
    done = served.wait_for_task(run, status="completed")
    assert done["queue"] == "celery"
    with served.client() as client:
        kinds = {task["kind"]: task for task in client.get(f"/api/tasks/{run}/children").json()["items"]}
    assert kinds["celery"]["name"] == "orakul.export"
    assert kinds["celery"]["parent_id"] == run
    served.wait_for_task(kinds["celery"]["task_id"], status="completed")

    long = start(served, group="long")
    served.wait_for_task(f"{long}:long:slow", status="in_progress")
    with served.client() as client:
        assert client.delete(f"/api/tasks/{long}").status_code == 200
    served.wait_for_task(long, status="cancelled")
    assert worker.alive


# -- told to others

WATCHER = """
import json, sys, redis
connection = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
listening = connection.pubsub()
listening.psubscribe("tdtp:pipeline:*")
for heard in listening.listen():
    if heard["type"] == "psubscribe":
        print("listening", flush=True)
    if heard["type"] != "pmessage":
        continue
    event = json.loads(heard["data"])
    key = heard["channel"] + ":state"
    assert json.loads(connection.get(key)) == event, "polling and push say the same"
    assert 0 < connection.ttl(key) <= 3600
    for name, kind in dict(pipeline_name=str, result_name=str, status=str, started_at=str, finished_at=str,
                           duration_ms=int, rows_loaded=int, rows_exported=int).items():
        assert type(event[name]) is kind, name
    assert heard["channel"] == "tdtp:pipeline:" + event["result_name"]
    assert event["started_at"].endswith("Z") and len(event["started_at"]) == 20
    assert event["status"] in ("success", "failed") and ("error" in event) == (event["status"] == "failed")
    print("[EVENT]", event["pipeline_name"], "->", event["result_name"], event["status"], event["rows_exported"],
          event.get("error", ""), flush=True)
"""


def test_the_end_of_a_run_is_told_to_tdtp_watchers(
    orakul: Callable[..., subprocess.CompletedProcess[str]],
    spawn: Callable[..., Process],
    tmp_path: Path,
    database_url: str,
    redis_url: str,
) -> None:
    """The watcher is written from the requirement alone."""
    port = redis_url.rpartition(":")[2].partition("/")[0]
    log = f'result_log: {{type: redis, address: "127.0.0.1:{port}", name: SALES_V001, ttl: 3600}}'
    plan = str(write_plan(tmp_path / "plans", database_url, more=log))
    watcher = spawn([sys.executable, "-c", WATCHER, port])
    wait_for(lambda: "listening" in watcher.text(), "the watcher to listen")
    assert orakul("export", plan, "--group", "quick").returncode == 0
    wait_for(lambda: "[EVENT] sales -> SALES_V001 success 5000" in watcher.text(), "the watcher to hear of it")
    assert orakul("export", plan, "--group", "wrong").returncode == 1
    wait_for(lambda: "SALES_V001 failed 0 wrong/missing" in watcher.text(), "the watcher to hear of the failure")
    assert watcher.alive, watcher.text()


def test_a_redis_that_is_away_is_warned_of_and_changes_nothing(
    orakul: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, database_url: str
) -> None:
    log = f'result_log: {{type: redis, address: "127.0.0.1:{free_port()}", name: SALES_V001, ttl: 3600}}'
    plan = str(write_plan(tmp_path / "plans", database_url, more=log))
    began = time.monotonic()
    done = orakul("export", plan, "--group", "quick")
    assert done.returncode == 0
    assert "was not told at 127.0.0.1" in done.stderr
    assert time.monotonic() - began < 60
