"""For tests of the web application: a journal in PostgreSQL with somebody's tasks in it, and who may ask for them.

Ann (7) owns the tasks, Bob (8) is another user, Vera views, Ada administers.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from argon2 import PasswordHasher

from orakul.events import Event
from orakul.exports.desk import PlanShown
from orakul.journals.postgres import (
    Connections,
    PostgresAccounts,
    PostgresAudit,
    PostgresBulkJobs,
    PostgresJournal,
    PostgresMoments,
    PostgresOrders,
    PostgresPipelines,
    PostgresReader,
    PostgresRetention,
    PostgresRoom,
)
from orakul.journals.postgres.events import PostgresEventRoom
from orakul.journals.postgres.reactions import PostgresReactions
from orakul.reactions.desk import RuleDesk
from orakul.reactions.making import Notifiers
from orakul.runners.delivery import DeliveryRunner
from orakul.runners.delivery.replaying import BulkReplay
from orakul.tasks import Cancellation, Task
from orakul.tasks.control import Control
from orakul.tasks.edited import EditedRuns, Prepared
from orakul.tasks.retention import Rules
from orakul.web.app import create_app
from orakul.web.parts import Parts, TokenSettings, WebSettings
from orakul.web.tokens import Tokens

SECRET = b"a secret key of tests, long enough"
PEOPLE = {
    "owner": ("7", "ann", "user"),
    "other": ("8", "bob", "user"),
    "viewer": ("9", "vera", "viewer"),
    "admin": ("1", "ada", "admin"),
}
PASSWORD = "correct horse"
STATES = ("pending", "in_progress", "completed", "failed", "cancelled")
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


class Runner:
    """A runner that hears every order and carries out none."""

    kind = "celery"

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def retry(self, task: Task, _sealed: bytes) -> None:
        self.heard.append(("retry", task.task_id))

    def editable(self, _task: Task, _sealed: bytes) -> dict[str, Any]:
        return {"args": [1], "kwargs": {}}

    def prepare(self, _task: Task, _sealed: bytes, new_id: str, arguments: Any, queue: str | None) -> Prepared:
        return Prepared(sealed=new_id.encode(), queue=queue, arguments=dict(arguments))

    def cancel(self, task: Task, _order: Cancellation) -> None:
        self.heard.append(("cancel", task.task_id))

    def pause(self, queue: str) -> None:
        self.heard.append(("pause", queue))

    def resume(self, queue: str) -> None:
        self.heard.append(("resume", queue))

    def repeat(self, pauses: Any, cancellations: Any) -> None: ...


class Desk:
    """A desk with one plan, whose exports end where they began, and one file."""

    who = "admin"

    def __init__(self, journal: PostgresJournal) -> None:
        self._journal = journal

    def plans(self) -> list[PlanShown]:
        return [PlanShown(plan="sales.yaml", name="sales")]

    def start(self, plan: str, **_: Any) -> str:
        self._journal.append(story(f"x-{plan}", "pending", user="1", kind="export"))
        return f"x-{plan}"

    def file(self, _task: Task, _number: int) -> Path:
        return Path(__file__)


class Stream:
    """A stream that says whom it was opened for, and ends."""

    closed = False

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        identity = scope["orakul.identity"]
        body = f"event: who\ndata: {identity.user_id} {identity.role}\n\n".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": body})

    async def close(self) -> None:
        self.closed = True


def story(task_id: str, state: str, user: str | None = "7", **facts: Any) -> list[Event]:
    """Return the events of a task that has come to a state."""
    begin = {"kind": "celery", "attempt": 1, "run": 0, "name": "shop.pay", "queue": "celery", **facts}
    steps: list[tuple[str, dict[str, Any]]] = [("pending", begin)]
    if state != "pending":
        steps.append(("in_progress", {"attempt": 1, "run": 0, "worker": "w@1", "queue": "celery"}))
    if state == "completed":
        steps.append((state, {"attempt": 1, "run": 0, "result": {"paid": True}}))
    elif state == "failed":
        error = {"type": "ValueError", "message": "no money", "traceback": "Traceback …", "place": "shop.py:7 pay"}
        steps.append((state, {"attempt": 1, "run": 0, "error": error}))
    elif state == "cancelled":
        steps.append((state, {"attempt": 1, "run": 0}))
    return [
        Event(
            event_type=f"task.{status}",
            task_id=task_id,
            user_id=user,
            data=data,
            timestamp=BEGAN + timedelta(seconds=number),
            trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        )
        for number, (status, data) in enumerate(steps)
    ]


def history_of_ann() -> list[Event]:
    """Return what has happened: a task of Ann's in each state, a child of one, a log, a worker, a paused queue."""
    events = [event for state in STATES for event in story(f"t-{state}", state, arguments={"args": [1], "kwargs": {}})]
    events += story("t-child", "completed", parent_id="t-completed", root_id="t-completed")
    line = {"attempt": 1, "level": "INFO", "logger": "shop", "message": "paying"}
    events += story("x-ann", "completed", kind="export")
    sealed = base64.b64encode(b"sealed").decode()
    worker = {"worker": "w@1", "kind": "celery", "pool": "prefork", "concurrency": 2, "queues": ["celery"], "pid": 1}
    return [
        *events,
        Event(event_type="task.log", task_id="t-failed", user_id="7", data=line),
        Event(event_type="task.message", task_id="t-failed", user_id="7", data={"attempt": 1, "sealed": sealed}),
        Event(event_type="worker.online", data={**worker, "interval": 5}),
        Event(event_type="queue.paused", user_id="1", data={"queue": "slow", "reason": "a flood"}),
    ]


@dataclass
class World:
    """The application on a journal, and tokens for who may ask."""

    parts: Parts
    journal: PostgresJournal
    accounts: PostgresAccounts
    runner: Runner
    connections: Connections
    tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def on(cls, database_url: str, **settings: Any) -> "World":
        connections = Connections(database_url)
        journal, orders = PostgresJournal(connections), PostgresOrders(connections)
        reader = PostgresReader(connections)
        accounts = PostgresAccounts(connections, hasher=PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        runner = Runner()
        parts = Parts(
            settings=WebSettings(secret_key=SECRET, trace_url="https://traces.example.com/{trace_id}", **settings),
            reader=reader,
            control=Control(journal, reader, orders, {"celery": runner}),
            orders=orders,
            fleet=orders,
            accounts=accounts,
            stream=Stream(),
            room=PostgresRoom(connections),
            moments=PostgresMoments(connections),
            pipelines=PostgresPipelines(connections),
            retention=PostgresRetention(connections, Rules(tasks_days=30, events_days=30, logs_days=14)),
            audit=PostgresAudit(connections),
            bulk=PostgresBulkJobs(connections),
            events=PostgresEventRoom(connections),
            replayer=BulkReplay(DeliveryRunner("memory://web"), journal),
            exports=Desk(journal),
            rules=RuleDesk(
                store := PostgresReactions(connections), Notifiers({"ops": {"kind": "webhook"}}), [], store.past
            ),
            tell=journal.append,
            edited=EditedRuns(journal, reader, orders, {"celery": runner}),
        )
        world = cls(parts, journal, accounts, runner, connections)
        world.tokens = good_tokens()
        return world

    def tell(self) -> "World":
        """Let Ann's history happen."""
        self.journal.append(history_of_ann())
        keep = "INSERT INTO orakul.saved_views VALUES ('v-ann', '7', false, 'mine of t-', 'status=failed', '[]')"
        self.connections.run("write", lambda connection: connection.execute(keep))
        rule = """INSERT INTO orakul.reaction_rules SELECT each, 'failures',
            '{"name": "failures", "notify": ["ops"], "when": {"event": ["task.failed"]}}', '1'
            FROM unnest(ARRAY['r-ada', 'r-old']) AS each"""
        self.connections.run("write", lambda connection: connection.execute(rule))
        begin = (
            "INSERT INTO orakul.bulk_jobs (job_id, author, command, filter, sameness)"
            " VALUES ('b-ann', '7', 'retry', '{}', 'b-ann')"
        )
        self.connections.run("write", lambda connection: connection.execute(begin))
        return self

    def people(self) -> "World":
        """Give everybody a password."""
        for user_id, username, role in PEOPLE.values():
            self.accounts.add(username, PASSWORD, role=role, user_id=user_id)
        return self

    def settled(self, **settings: Any) -> "World":
        """Return the same with other settings."""
        parts = replace(self.parts, settings=replace(self.parts.settings, **settings))
        return replace(self, parts=parts)

    def client(self, who: str | None = None, **options: Any) -> "Client":
        """Return a client that is signed in as somebody, or as nobody."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        return Client(create_app(self.parts, **options.pop("app", {})), headers, **options)


class Client:
    """Asks the application, each time by itself."""

    def __init__(self, app: Any, headers: dict[str, str], base_url: str = "http://orakul.test", **options: Any) -> None:
        self.app = app
        self._headers = headers
        self._base_url = base_url
        self._options = options

    def __call__(self, method: str, path: str, **request: Any) -> httpx2.Response:
        async def go() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self.app, **self._options)
            async with httpx2.AsyncClient(transport=transport, base_url=self._base_url) as client:
                headers = {**self._headers, **request.pop("headers", {})}
                return await client.request(method, path, headers=headers, **request)

        return asyncio.run(go())


def good_tokens() -> dict[str, str]:
    issuer = Tokens(SECRET, TokenSettings())
    return {who: issuer.issue(uid, username=name, role=role)[0] for who, (uid, name, role) in PEOPLE.items()}


def bad_tokens() -> dict[str, str]:
    """Return tokens of an administrator's that are not good."""
    claims = {"sub": "1", "role": "admin", "exp": int(time.time()) + 600}

    def made(header: Any, claims: Any, sign: Callable[[bytes], bytes]) -> str:
        text = ".".join(_part(json.dumps(part).encode()) for part in (header, claims))
        return f"{text}.{_part(sign(text.encode()))}"

    def by(secret: bytes) -> Callable[[bytes], bytes]:
        return lambda text: hmac.digest(secret, text, hashlib.sha256)

    good = made({"alg": "HS256"}, claims, by(SECRET))
    return {
        "expired": made({"alg": "HS256"}, {**claims, "exp": int(time.time()) - 3600}, by(SECRET)),
        "forged": made({"alg": "HS256"}, claims, by(b"another key, which is not ours here")),
        "alg none": made({"alg": "none"}, claims, lambda _: b""),
        "alg none, signed": made({"alg": "none"}, claims, by(SECRET)),
        "changed": ".".join(
            [good.split(".")[0], _part(json.dumps({**claims, "sub": "2"}).encode()), good.split(".")[2]]
        ),
        "cut": good[:-4],
        "garbage": "garbage",
    }


def _part(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
