"""Fixtures for all tests. Servers are real, start on first use, and serve the whole session (see `servers`).

| fixture | gives |
| --- | --- |
| `postgres` | the session's PostgresServer: `.url`, `.kill9()`, `.start()`, … |
| `empty_database_url` | a fresh database without tables |
| `database_url` | a fresh, migrated database (a copy of a template: some 50 ms) |
| `redis`, `redis_url` | the session's RedisServer; its address, emptied for this test |
| `rabbitmq`, `rabbitmq_url` | the session's RabbitServer; the address of a virtual host of this test alone |
| `own_postgres`, `own_redis`, `own_rabbitmq` | functions that start one more of its kind for this test, to be hurt |
| `data_dir` | an empty data folder, with `ORAKUL_…` of the machine out of the environment |
| `browser`, `page` | Chromium; a new page, whose console errors fail the test at its end |
| `spawn` | a function that starts a process which ends with the test |
| `stack` | Orakul served on a free port over Redis, with users and Celery workers: see `stacks.Stack` |
| `make_stack` | a function that makes one: `make_stack(broker="rabbitmq", ORAKUL_LEASE_SECONDS="3")` |

With ORAKUL_TEST_DATABASE_URL, ORAKUL_TEST_REDIS_URL or ORAKUL_TEST_RABBITMQ_URL set, that server is used instead of an
own one; tests that hurt a server always start an own one.
"""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside this one: servers, stacks

from servers import PostgresServer, Process, RabbitServer, RedisServer, Server
from stacks import Stack, making

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


class Foreign:
    """A server that somebody else runs: it has an address, and cannot be hurt."""

    def __init__(self, url: str) -> None:
        self.url = url


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder for the files of servers; its path is short, for the sake of sockets."""
    folder = Path(tempfile.mkdtemp(prefix="orakul-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _serving(make: type[Server], folder: Path, variable: str) -> Iterator[Any]:
    if given := os.environ.get(variable):
        yield Foreign(given)
        return
    server = make(folder)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Any]:
    """The session's PostgreSQL."""
    yield from _serving(PostgresServer, server_folder / "postgres", "ORAKUL_TEST_DATABASE_URL")


@pytest.fixture(scope="session")
def redis(server_folder: Path) -> Iterator[Any]:
    """The session's Redis."""
    yield from _serving(RedisServer, server_folder / "redis", "ORAKUL_TEST_REDIS_URL")


@pytest.fixture(scope="session")
def rabbitmq(server_folder: Path) -> Iterator[Any]:
    """The session's RabbitMQ."""
    yield from _serving(RabbitServer, server_folder / "rabbitmq", "ORAKUL_TEST_RABBITMQ_URL")


def _owner(make: type[Server], folder: Path) -> Iterator[Callable[[], Any]]:
    started: list[Server] = []

    def start() -> Any:
        server = make(folder / f"{make.name.lower()}-{uuid.uuid4().hex[:8]}")
        started.append(server)
        return server.start()

    try:
        yield start
    finally:
        for server in started:
            server.stop()


@pytest.fixture
def own_postgres(server_folder: Path) -> Iterator[Callable[[], PostgresServer]]:
    """Start a PostgreSQL for this test alone: one that may be killed."""
    yield from _owner(PostgresServer, server_folder)


@pytest.fixture
def own_redis(server_folder: Path) -> Iterator[Callable[[], RedisServer]]:
    """Start a Redis for this test alone."""
    yield from _owner(RedisServer, server_folder)


@pytest.fixture
def own_rabbitmq(server_folder: Path) -> Iterator[Callable[[], RabbitServer]]:
    """Start a RabbitMQ for this test alone."""
    yield from _owner(RabbitServer, server_folder)


def _with_database(url: str, name: str) -> str:
    address, _, options = url.partition("?")
    base = address.rpartition("/")[0]
    return f"{base}/{name}" + (f"?{options}" if options else "")


def _execute(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]  # names are made here


def _drop(url: str, name: str) -> None:
    _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def migrated_template(postgres: Any) -> Iterator[str]:
    """The name of a migrated database that fresh ones are copied from."""
    from orakul.journals.postgres.migrations import upgrade

    name = f"orakul_template_{uuid.uuid4().hex[:8]}"
    _execute(postgres.url, f'CREATE DATABASE "{name}"')
    upgrade(_with_database(postgres.url, name))
    yield name
    _drop(postgres.url, name)


def _fresh(postgres: Any, template: str | None) -> Iterator[str]:
    name = f"orakul_{uuid.uuid4().hex[:12]}"
    _execute(postgres.url, f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
    yield _with_database(postgres.url, name)
    _drop(postgres.url, name)


@pytest.fixture
def empty_database_url(postgres: Any) -> Iterator[str]:
    """The address of a fresh database without tables."""
    yield from _fresh(postgres, None)


@pytest.fixture
def database_url(postgres: Any, migrated_template: str) -> Iterator[str]:
    """The address of a fresh, migrated database."""
    yield from _fresh(postgres, migrated_template)


@pytest.fixture
def redis_url(redis: Any) -> str:
    """The address of an emptied Redis."""
    import redis as client

    with client.Redis.from_url(redis.url) as connection:
        connection.flushall()
    return str(redis.url)


@pytest.fixture
def rabbitmq_url(rabbitmq: Any) -> Iterator[str]:
    """The address of a virtual host for this test alone (of the foreign server as it is, where one is given)."""
    if isinstance(rabbitmq, Foreign):
        yield rabbitmq.url
        return
    host = f"t{uuid.uuid4().hex[:8]}"
    everything = '<<".*">>, <<".*">>, <<".*">>'
    rabbitmq.ctl(
        "eval",
        f'rabbit_vhost:add(<<"{host}">>, <<"tests">>), '
        f'ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{host}">>, {everything}, <<"tests">>).',
    )
    yield f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/{host}"
    rabbitmq.ctl("delete_vhost", host)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, set as ORAKUL_DATA; nothing else of Orakul is left in the environment."""
    for name in [name for name in os.environ if name.startswith("ORAKUL_") and not name.startswith("ORAKUL_TEST_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("ORAKUL_DATA", str(folder))
    return folder


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start processes that end with the test: `spawn(["orakul", "serve"], env={…})`."""
    started: list[Process] = []

    def start(command: list[str], **options: Any) -> Process:
        options.setdefault("log", tmp_path / f"process-{len(started)}.log")
        started.append(Process(command, **options))
        return started[-1]

    yield start
    for process in reversed(started):
        process.stop()


@pytest.fixture
def make_stack(tmp_path: Path, database_url: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Stack]]:
    """Make stacks: `make_stack()` over Redis, `make_stack(broker="rabbitmq")`; settings as further arguments."""
    yield from making(tmp_path, database_url, lambda broker: str(request.getfixturevalue(f"{broker}_url")))


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    """Orakul served, over Redis."""
    return make_stack()


# --- the browser ---

_CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def _chromium() -> str:
    given = os.environ.get("ORAKUL_TEST_CHROMIUM")
    found = given or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "The tests need Chromium: apt-get install chromium, or set ORAKUL_TEST_CHROMIUM to one's path."
    return found


@pytest.fixture
def browser() -> Iterator["Browser"]:
    """A Chromium of this test's own: Playwright keeps an event loop running in the thread as long as it is open."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_chromium(), args=_CHROMIUM_OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: "Browser", request: pytest.FixtureRequest) -> Iterator["Page"]:
    """A page in a context of its own (English, 1280 × 800); errors on its console fail the test at its end.

    A test that expects some takes them out: `page.console_errors.clear()`. When the test fails, a picture of the page
    is in `test-results/`.
    """
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors: list[str] = []
    page.console_errors = errors  # type: ignore[attr-defined]
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        folder = Path(__file__).parent.parent / "test-results"
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / f"{request.node.name}.png")
    context.close()
    if report is not None and report.passed:  # else the test's own failure is what there is to read
        assert not errors, errors


_AXE = Path(__file__).parents[1] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
def axe() -> Callable[["Page", str], None]:
    """Let axe look at a page: `axe(page, "where")` fails on whatever it finds."""
    assert _AXE.exists(), "axe-core comes with the interface's packages: npm ci in frontend/"
    source = _AXE.read_text(encoding="utf-8")

    def look(page: "Page", where: str) -> None:
        page.wait_for_timeout(250)  # what fades in has its contrast when it is there
        page.evaluate(source)
        found = page.evaluate(
            "axe.run(document, {resultTypes: ['violations']})"
            ".then(({violations}) => violations.map(one => [one.id, ...one.nodes.map(node => node.html)]))"
        )
        assert found == [], f"{where}: {found}"

    return look


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what lives among real servers and processes again, up to twice, where it fails; it is listed then (`-r R`).

    A law of our own code fails every time; the machine's neighbours do not. Unit tests have no such mercy.
    """
    for item in items:
        if "unit" not in item.path.parts:
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Let fixtures know how their test ended."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    setattr(item, f"report_{report.when}", report)
