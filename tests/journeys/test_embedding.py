"""The control room inside another application, and behind a proxy that takes a prefix away: all of it, in a browser."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect
from servers import Process, free_port, wait_for
from stacks import PASSWORD, PEOPLE, Stack

from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresAccounts, PostgresJournal

DOCS = Path(__file__).parents[2] / "docs" / "embedding.md"
PROXY = Path(__file__).parent / "prefix_proxy.py"
HOST = """
import contextlib

@contextlib.asynccontextmanager
async def own_lifespan(app):
    print("the host starts", flush=True)
    yield
    print("the host stops", flush=True)
"""


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def example() -> str:
    """Return the application of the page, with a lifespan of its own beside."""
    found = re.search(r"```python\n(from fastapi.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return HOST + found[1].replace("FastAPI()", "FastAPI(lifespan=own_lifespan)")


@pytest.fixture
def host(
    database_url: str, tmp_path: Path, spawn: Callable[..., Process], data_dir: Path
) -> Callable[..., tuple[str, Process]]:
    """Start an application that has the control room inside; return its address and its process."""

    def start(text: str, *options: str, **environment: str) -> tuple[str, Process]:
        (tmp_path / "house.py").write_text(text)
        port = free_port()
        settings = {
            "ORAKUL_DATA": str(data_dir),
            "ORAKUL_DATABASE_URL": database_url,
            "ORAKUL_SECRET_KEY": "a secret key of tests, long enough",
            **environment,
        }
        command = [sys.executable, "-m", "uvicorn", "house:app", "--port", str(port), "--no-access-log", *options]
        process = spawn(command, env=settings, cwd=tmp_path)
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/") or not process.alive, "the host to answer", 60)
        assert process.alive, process.text()
        return f"http://127.0.0.1:{port}", process

    return start


def tell(database_url: str, *tasks: str) -> None:
    with Connections(database_url) as connections:
        told = {"kind": "celery", "name": "shop.pay", "queue": "celery"}
        PostgresJournal(connections).append(
            [Event(event_type="task.pending", task_id=task, data=told, user_id="7") for task in tasks]
        )


def people(database_url: str) -> None:
    with Connections(database_url) as connections:
        accounts = PostgresAccounts(connections)
        for name, (role, user_id) in PEOPLE.items():
            accounts.add(name, PASSWORD, role=role, user_id=user_id)


def walk_through(page: Page, root: str, database_url: str) -> None:
    """Sign in below the prefix, see the list, see it live, open a task by its link, and sign out."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{root}/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("[data-task=t-1]")).to_be_visible(timeout=30_000)
    prefix = re.sub(r"^https?://[^/]+", "", root)
    cookies = {cookie["name"]: cookie["path"] for cookie in page.context.cookies()}
    assert cookies["orakul_session"] == f"{prefix}/"

    tell(database_url, "t-live")  # by the stream: nothing is asked for anew
    expect(page.locator("[data-task=t-live]")).to_be_visible(timeout=30_000)
    page.locator("[data-task=t-1]").click()
    expect(page.locator(".history-entry").first).to_be_visible(timeout=30_000)
    page.reload()
    expect(page.locator(".history-entry").first).to_be_visible(timeout=30_000)
    assert page.url.startswith(f"{root}/")
    assert all(url.startswith((f"{root}/", "data:", "blob:")) for url in asked), asked
    document = page.request.get(f"{root}/openapi.json").json()
    assert document["servers"][0]["url"] == prefix
    page.console_errors[:] = [said for said in page.console_errors if "401" not in said]  # type: ignore[attr-defined]


def test_the_example_of_the_page_has_the_whole_control_room_inside(
    host: Callable[..., Any], database_url: str, page: Page
) -> None:
    people(database_url)
    tell(database_url, "t-1")
    url, process = host(example())
    assert httpx2.get(f"{url}/", trust_env=False).json() == {"control room": "/orakul/"}
    assert httpx2.get(f"{url}/orakul", trust_env=False, follow_redirects=True).status_code == 200
    assert httpx2.get(f"{url}/orakul/readyz", trust_env=False).status_code == 200
    assert httpx2.get(f"{url}/api/tasks", trust_env=False).status_code == 404  # the host's own addresses stay its own
    walk_through(page, f"{url}/orakul", database_url)
    process.stop(15, timeout=60)
    said = process.text()
    assert "the host starts" in said
    assert "the host stops" in said
    assert "Traceback" not in said


def test_only_mounted_it_starts_with_the_first_request(host: Callable[..., Any], database_url: str) -> None:
    people(database_url)
    tell(database_url, "t-1")
    url, process = host(example().replace('control_room().mount_in(app, "/orakul")', 'app.mount("/x", control_room())'))
    grant = {"username": "admin", "password": PASSWORD}
    token = httpx2.post(f"{url}/x/v1/auth/token", data=grant, timeout=30, trust_env=False).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    found = httpx2.get(f"{url}/x/api/tasks", headers=headers, timeout=30, trust_env=False).json()
    assert [task["task_id"] for task in found["items"]] == ["t-1"]
    process.stop(15, timeout=60)
    assert "Traceback" not in process.text()


@pytest.mark.parametrize("told_by", ["setting", "proxy"])
def test_behind_a_proxy_that_takes_the_prefix_away(
    make_stack: Callable[..., Stack], spawn: Callable[..., Process], database_url: str, page: Page, told_by: str
) -> None:
    by = (
        {"ORAKUL_WEB_ROOT_PATH": "/team/orakul"}
        if told_by == "setting"
        else {"ORAKUL_WEB_TRUSTED_PROXIES": "127.0.0.1"}
    )
    stack = make_stack(**by)
    tell(database_url, "t-1")
    port = free_port()
    silent = ["--silent"] if told_by == "setting" else []
    spawn([sys.executable, str(PROXY), str(port), str(stack.port), "/team/orakul", *silent])
    root = f"http://127.0.0.1:{port}/team/orakul"
    wait_for(lambda: answers(f"{root}/healthz"), "the proxy to answer")
    walk_through(page, root, database_url)


@pytest.mark.parametrize("told_by", ["host", "proxy"])
def test_mounted_in_an_application_that_is_itself_behind_a_prefix(
    host: Callable[..., Any], spawn: Callable[..., Process], database_url: str, page: Page, told_by: str
) -> None:
    people(database_url)
    tell(database_url, "t-1")
    text = example()
    if told_by == "host":
        text = text.replace("FastAPI(lifespan", 'FastAPI(root_path="/house", lifespan')
    url, _ = host(text, **({} if told_by == "host" else {"ORAKUL_WEB_TRUSTED_PROXIES": "127.0.0.1"}))
    port = free_port()
    silent = ["--silent"] if told_by == "host" else []
    spawn([sys.executable, str(PROXY), str(port), url.rpartition(":")[2], "/house", *silent])
    root = f"http://127.0.0.1:{port}/house/orakul"
    wait_for(lambda: answers(f"{root}/healthz"), "the proxy to answer")
    walk_through(page, root, database_url)
