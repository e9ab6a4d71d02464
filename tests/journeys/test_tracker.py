"""The defect tracker: the walkthrough of its document, its commands unchanged, and who may do what."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from servers import Process, free_port, wait_for

EXAMPLE = Path(__file__).parents[2] / "examples" / "defect_tracker"

# As they stand in the document (requirements/domain-events.md, "КАК ПРОТЕСТИРОВАТЬ"), to the letter.
SIGN_IN = r"""
# Сначала получи токен
TOKEN=$(curl -s -X POST http://localhost:8000/v1/auth/token \
  -H "Content-Type: application/x-www-form-urlencoded" \
  -d "username=testuser&password=123456" | grep -o '"access_token":"[^"]*"' | cut -d'"' -f4)
"""
CREATE_PROJECT = r"""
# Создай проект
curl -X POST http://localhost:8000/v1/projects/ \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"name":"Тестовый проект","description":"Описание"}'
"""
CREATE_DEFECT = r"""
curl -X POST http://localhost:8000/v1/defects/ \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "title":"Критическая ошибка",
    "description":"Описание ошибки",
    "status":"Новая",
    "priority":"Высокий",
    "project_id":1
  }'
"""
CHANGE_STATUS = r"""
curl -X PUT http://localhost:8000/v1/defects/1 \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "title":"Критическая ошибка",
    "description":"Описание ошибки",
    "status":"В работе",
    "priority":"Высокий"
  }'
"""


class Tracker:
    """The tracker as `make tracker` runs it, on a port that was free."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # curl reads this, so that the document's own port may be another one here.
        (folder / ".curlrc").write_text(f'connect-to = "localhost:8000:127.0.0.1:{self.port}"\n')
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ORAKUL_", "TRACKER_"))}
        self.environment = clean | {"CURL_HOME": str(folder), "ORAKUL_DATA": str(folder / "data"), "NO_PROXY": "*"}
        self.log = folder / "tracker.log"
        command = [sys.executable, str(EXAMPLE / "tracker.py"), "--port", str(self.port)]
        self.process = Process(command, log=self.log, env=self.environment)

    def text(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    def started(self) -> bool:
        assert self.process.alive, self.text()
        return "Ctrl-C ends everything" in self.text()

    def lines(self, beginning: str) -> list[str]:
        return [line for line in self.text().splitlines() if line.startswith(beginning)]

    def shell(self, commands: str) -> str:
        done = subprocess.run(
            ["bash", "-c", commands], env=self.environment, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def client(self, who: str) -> httpx2.Client:
        form = {"username": who, "password": "123456"}
        answer = httpx2.post(f"{self.url}/v1/auth/token", data=form, timeout=30, trust_env=False)
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    folder = tmp_path_factory.mktemp("orakul-tracker")
    made = Tracker(folder)
    try:
        wait_for(made.started, "the tracker to start", 90)
        yield made
    finally:
        made.process.stop(2, timeout=30)
        shutil.rmtree(folder / "data", ignore_errors=True)


def test_the_documents_walkthrough_gives_its_log_lines_and_one_letter(tracker: Tracker) -> None:
    assert shutil.which("curl"), "the walkthrough needs curl: apt-get install curl"
    tracker.shell(SIGN_IN + CREATE_PROJECT)
    [created] = wait_for(lambda: tracker.lines("[EVENT] project.created"), "project.created")  # type: ignore[misc]  # a list
    assert re.fullmatch(
        r"\[EVENT\] project\.created \| ID: [0-9a-f-]{36} \| User: 1 \| Data: "
        r'\{"project_id": 1, "name": "Тестовый проект", "owner_id": 1\}',
        created,
    )
    tracker.shell(SIGN_IN + CREATE_DEFECT)
    [reported] = wait_for(lambda: tracker.lines("[EVENT] defect.created"), "defect.created")  # type: ignore[misc]  # a list
    assert '| User: 1 | Data: {"defect_id": 1, "title": "Критическая ошибка", ' in reported
    tracker.shell(SIGN_IN + CHANGE_STATUS)
    wait_for(lambda: tracker.lines("[EVENT] defect.updated"), "defect.updated")
    changed, updated = tracker.lines("[EVENT] defect.")[1:]
    assert changed.partition("| User: ")[2] == (
        '1 | Data: {"defect_id": 1, "old_status": "Новая", "new_status": "В работе", "changed_by": 1}'
    )
    assert changed.startswith("[EVENT] defect.status_changed | ID: ")
    assert updated.partition("| User: ")[2] == (
        '1 | Data: {"defect_id": 1, "title": "Критическая ошибка", "updated_by": 1}'
    )
    wait_for(lambda: tracker.lines("[MAIL] To:"), "the letter", 60)
    tracker.shell(SIGN_IN + CHANGE_STATUS)  # the same status again: updated, and no letter
    wait_for(lambda: len(tracker.lines("[EVENT] defect.updated")) == 2, "the second update")
    assert tracker.lines("[MAIL] To:") == [
        "[MAIL] To: team@example.com | Subject: Дефект #1 изменил статус на 'В работе'"
    ]
    assert "Отправка email: Дефект #1 изменил статус на 'В работе'" in tracker.text()


def test_every_event_of_both_tables_has_its_fields(tracker: Tracker) -> None:
    with tracker.client("admin") as admin:
        project = admin.post("/v1/projects/", json={"name": "Table"}).json()["id"]
        admin.put(f"/v1/projects/{project}", json={"name": "Table two"})
        defect = admin.post("/v1/defects/", json={"title": "Leg", "project_id": project}).json()["id"]
        admin.put(f"/v1/defects/{defect}", json={"title": "Leg", "status": "Решена"})
        assert admin.delete(f"/v1/defects/{defect}").status_code == 204
        assert admin.delete(f"/v1/projects/{project}").status_code == 204
    wait_for(lambda: tracker.lines("[EVENT] project.deleted"), "project.deleted")
    told: dict[str, Any] = {}
    for line in tracker.lines("[EVENT] "):
        kind, _, data = line.removeprefix("[EVENT] ").partition(" | ")
        told[kind] = set(json.loads(data.partition("Data: ")[2]))
    assert told == {
        "project.created": {"project_id", "name", "owner_id"},
        "project.updated": {"project_id", "name", "updated_by"},
        "project.deleted": {"project_id", "deleted_by"},
        "defect.created": {"defect_id", "title", "status", "priority", "project_id", "reporter_id"},
        "defect.updated": {"defect_id", "title", "updated_by"},
        "defect.status_changed": {"defect_id", "old_status", "new_status", "changed_by"},
        "defect.deleted": {"defect_id", "deleted_by"},
    }


def test_others_see_nothing_and_administrators_all(tracker: Tracker) -> None:
    with tracker.client("testuser") as owner, tracker.client("inspector") as other, tracker.client("admin") as admin:
        project = owner.post("/v1/projects/", json={"name": "Mine"}).json()["id"]
        defect = admin.post("/v1/defects/", json={"title": "Crack", "project_id": project}).json()["id"]
        for path in (f"/v1/projects/{project}", f"/v1/defects/{defect}"):
            assert other.get(path).status_code == 404
            assert other.put(path, json={"name": "x", "title": "x"}).status_code == 404
            assert other.delete(path).status_code == 404
            assert owner.get(path).status_code == admin.get(path).status_code == 200
        assert other.post("/v1/defects/", json={"title": "x", "project_id": project}).status_code == 422
        assert project not in [each["id"] for each in other.get("/v1/projects/").json()["items"]]
        assert owner.delete(f"/v1/defects/{defect}").status_code == 403  # reported by the administrator
        assert httpx2.get(f"{tracker.url}/v1/projects/", trust_env=False).status_code == 401
        forged = {"Authorization": owner.headers["authorization"] + "x"}
        assert httpx2.get(f"{tracker.url}/v1/projects/", headers=forged, trust_env=False).status_code == 401


def test_lists_come_by_pages_and_errors_say_what_is_wrong(tracker: Tracker) -> None:
    with tracker.client("inspector") as client:
        made = [client.post("/v1/projects/", json={"name": f"P{number}"}).json()["id"] for number in range(5)]
        first = client.get("/v1/projects/", params={"limit": 3}).json()
        rest = client.get("/v1/projects/", params={"limit": 3, "after": first["next"]}).json()
        assert [each["id"] for each in first["items"] + rest["items"]] == made
        assert rest["next"] is None
        for body, said in [({}, "Field required"), ({"name": " "}, "at least 1"), ({"name": "a\0"}, "NUL")]:
            answer = client.post("/v1/projects/", json=body)
            assert (answer.status_code, said in answer.text) == (422, True), answer.text
        assert client.post("/v1/projects/", content=b"{").status_code == 422
        assert client.get("/v1/nothing/").status_code == 404
        assert client.post("/v1/projects/", content=b" " * 2_000_000).status_code == 413
        wrong = {"username": "inspector", "password": "654321"}
        assert client.post("/v1/auth/token", data=wrong).status_code == 401


def test_the_compose_file_holds_together() -> None:
    import yaml

    compose = yaml.safe_load((EXAMPLE / "docker-compose.yml").read_text("utf-8"))
    services = compose["services"]
    known = {"build", "image", "restart", "networks", "environment", "depends_on", "command", "ports", "healthcheck", "volumes"}  # fmt: skip  # noqa: E501
    assert set(compose) - {"x-tracker"} == {"name", "services", "networks", "volumes"}
    assert {"postgres", "rabbitmq", "orakul", "projects-service", "defects-service", "email-consumer"} <= set(services)
    for name, service in services.items():
        assert set(service) <= known, name
        assert set(service["networks"]) <= set(compose["networks"])
        assert {each.partition(":")[0] for each in service.get("volumes", [])} <= set(compose["volumes"])
        assert set(service.get("depends_on", ())) <= set(services)
        for other in service["depends_on"] if isinstance(service.get("depends_on"), dict) else ():
            assert "healthcheck" in services[other], (name, other)
    assert services["rabbitmq"]["image"] == "rabbitmq:3-management"
    assert "8000:8000" in services["gateway"]["ports"]
    build = services["orakul"]["build"]
    assert ((EXAMPLE / build["context"]).resolve() / build["dockerfile"]).is_file()
