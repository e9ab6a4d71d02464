"""The Airflow notifier against a real Airflow 3, where one is installed: a DAG run is started, once.

Airflow wants an environment of its own: `uv venv A && uv pip install -p A/bin/python apache-airflow==3.0.6
'fastapi<0.117'`, then `ORAKUL_TEST_AIRFLOW=A`. It runs on loopback, with SQLite.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from servers import Process, free_port, wait_for

from orakul.reactions import Message, PermanentError
from orakul.reactions.making import make_notifier

AIRFLOW = os.environ.get("ORAKUL_TEST_AIRFLOW")
PASSWORD = "airflow-of-tests"
DAG = """
from datetime import datetime
from airflow.sdk import dag, task

@dag(dag_id="reload", schedule=None, start_date=datetime(2025, 1, 1), catchup=False, is_paused_upon_creation=False)
def reload():
    @task
    def once():
        return 1

    once()

reload()
"""
MESSAGE = Message(
    key="0190-aa", title="MASK_V001 failed", text="no disk", severity="error", event={"task_id": "t-1"}, fields={}
)

pytestmark = [
    pytest.mark.skipif(AIRFLOW is None, reason="set ORAKUL_TEST_AIRFLOW to an environment with Airflow 3"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def airflow(tmp_path: Path, spawn: Callable[..., Process]) -> Iterator[str]:
    program, port = str(Path(AIRFLOW or "", "bin", "airflow")), free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_ISSUER": "airflow",
    }
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "reload.py").write_text(DAG)
    (tmp_path / "simple_auth_manager_passwords.json.generated").write_text(json.dumps({"admin": PASSWORD}))
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        subprocess.run([program, *command], env=environment, check=True, capture_output=True)
    server = spawn([program, "api-server"], env=environment, cwd=tmp_path)

    def answers() -> bool:
        assert server.alive, server.text()
        try:
            return httpx2.get(f"{url}/api/v2/version", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    wait_for(answers, "Airflow to answer", timeout=120)
    yield url
    server.stop()


def test_a_run_is_started_once_and_knows_why(airflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_PASSWORD", PASSWORD)
    signed = {"kind": "airflow", "url": airflow, "username": "admin", "password": "env:AIRFLOW_PASSWORD"}
    notifier = make_notifier("ops", {**signed, "dag_id": "reload"})
    assert notifier.send([MESSAGE]).said == "run started"
    assert notifier.send([MESSAGE]).said == "had been started already"
    body = {"username": "admin", "password": PASSWORD}
    token = httpx2.post(f"{airflow}/auth/token", json=body).json()["access_token"]
    runs = httpx2.get(f"{airflow}/api/v2/dags/reload/dagRuns", headers={"Authorization": f"Bearer {token}"}).json()
    [run] = runs["dag_runs"]
    assert run["dag_run_id"] == "orakul__0190-aa"
    assert run["conf"]["event"] == {"task_id": "t-1"}
    assert run["note"] == "MASK_V001 failed"
    with pytest.raises(PermanentError, match=r"404.*not found"):
        make_notifier("ops", {**signed, "dag_id": "nowhere"}).send([MESSAGE])
    monkeypatch.setenv("AIRFLOW_PASSWORD", "mistaken")
    with pytest.raises(PermanentError, match="401"):
        make_notifier("ops", {**signed, "dag_id": "reload"}).send([MESSAGE])
