"""Reactions at work on a real journal: storms, templates and notifiers that misbehave, kill -9, retries by hand."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from counterparties import Asked, Counterparty, counterparty
from processes import wait_for

from orakul.events import Event
from orakul.journals.postgres import PostgresFeed, PostgresJournal, PostgresOrders, PostgresReader
from orakul.journals.postgres.reactions import PostgresReactions
from orakul.reactions import Message, Notifier, Options, PassingError, Receipt
from orakul.reactions.making import Notifiers
from orakul.reactions.rule import rules_of
from orakul.reactions.runner import ReactionRunner
from orakul.reactions.service import Reactions
from orakul.tasks import Task, TaskQuery
from orakul.tasks.control import Control


class Kept(Notifier):
    """Keeps what it is sent."""

    kind = "kept"

    def __init__(self) -> None:
        super().__init__(Options(timeout_seconds=0.2))
        self.messages: list[Message] = []
        self.trouble: Exception | None = None
        self.hangs = threading.Event()
        self.hangs.set()

    def send(self, messages: Sequence[Message]) -> Receipt:
        self.hangs.wait(60)
        if self.trouble is not None:
            raise self.trouble
        self.messages.extend(messages)
        return Receipt()

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        return {"url": url}


class House(Notifiers):
    """Notifiers of the test's own making."""

    def __init__(self, **made: Notifier) -> None:
        super().__init__({name: {"kind": "kept"} for name in made})
        self._made = dict(made)


@dataclass
class World:
    url: str
    journal: PostgresJournal
    reader: PostgresReader
    store: PostgresReactions
    begun: list[Reactions] = field(default_factory=list)

    def begin(self, rules: list[dict[str, Any]], **notifiers: Notifier) -> Reactions:
        usual = {"notify": "ops", "when": {"event": "task.failed"}, "limit": ""}
        found = Reactions(
            self.store,
            lambda: PostgresFeed(self.url),
            House(**notifiers),
            rules_of([{"name": f"rule {number}", **usual, **rule} for number, rule in enumerate(rules)]),
            self.journal.append,
        )
        found.sender._first_pause = 0.05
        found.start()
        self.begun.append(found)
        wait_for(lambda: found.engine.reading, "the feed is read for reactions")
        return found

    def fail(self, count: int = 1, name: str = "shop.pay", begin: int = 0, event: str = "task.failed") -> None:
        error = {"type": "ValueError", "message": "no money"}
        data = {"kind": "celery", "name": name, "attempt": 1, "run": 0, "error": error}
        events = [Event(event_type=event, task_id=f"{name}-{begin + n}", data=data) for n in range(count)]
        for at in range(0, count, 1_000):
            self.journal.append(events[at : at + 1_000])

    def deliveries(self) -> list[Task]:
        return self.reader.tasks(TaskQuery(kind=["reaction"], limit=500, sort="created_at")).items


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    found = World(
        database_url, PostgresJournal(database_url), PostgresReader(database_url), PostgresReactions(database_url)
    )
    yield found
    for reactions in found.begun:
        reactions.stop(1.0)


def test_a_storm_of_failures_is_a_few_messages_and_one_recovered(world: World) -> None:
    ops = Kept()
    world.begin([{"every": "2s", "recovered": True, "group": ["name"]}], ops=ops)
    world.fail(10_000)
    wait_for(lambda: sum(message.count for message in ops.messages) == 10_000, "all of them are told of", 60)
    assert 2 <= len(ops.messages) <= 20
    world.fail(event="task.completed", begin=20_000)
    wait_for(lambda: ops.messages[-1].severity == "recovered", "the end of it is told")
    assert (ops.messages[-1].title, ops.messages[-1].count) == ("shop.pay works again", 10_000)
    world.fail(event="task.completed", begin=20_001)
    world.fail(name="another")
    wait_for(lambda: ops.messages[-1].title == "another failed", "what comes after it")
    assert [message.severity for message in ops.messages].count("recovered") == 1


def test_a_rule_bounds_its_messages_and_tells_how_many_it_left_out(world: World) -> None:
    ops = Kept()
    world.begin([{"every": "1s", "limit": "3 in 3s"}], ops=ops)
    for number in range(20):
        world.fail(name=f"task-{number}")
    wait_for(lambda: any("more than this rule tells" in message.text for message in ops.messages), "the rest", 60)
    told = [message for message in ops.messages if "more than this rule tells" not in message.text]
    assert sum(message.count for message in ops.messages) == 20
    assert len(told) < 20


def test_a_wrong_template_a_rule_of_everything_and_a_notifier_that_hangs_or_fails_leave_the_rest_alone(
    world: World,
) -> None:
    ops, everything, hanging, broken = Kept(), Kept(), Kept(), Kept()
    hanging.hangs.clear()
    broken.trouble = RuntimeError("a bug of the notifier's own")
    world.begin(
        [
            {"name": "good"},
            {"name": "wrong", "title": "{{ nothing.like.this }}", "notify": "ops"},
            {"name": "all", "when": {"event": "*"}, "every": "0s", "notify": "everything"},
            {"name": "hanging", "notify": "hanging"},
            {"name": "broken", "notify": "broken"},
            {"name": "nobody", "notify": "no-such"},
        ],
        ops=ops, everything=everything, hanging=hanging, broken=broken,
    )  # fmt: skip
    world.fail(3)
    wait_for(lambda: len(ops.messages) == 2, "the good rule and the wrong one are told")
    wrong = next(message for message in ops.messages if "is wrong" in message.text)
    assert wrong.title == "shop.pay failed"
    wait_for(lambda: len(everything.messages) == 3, "everything is told, and nothing of what that makes")

    def states() -> dict[str, Any]:
        return {task.name: task for task in world.deliveries()}

    wait_for(lambda: states()["nobody"].status == "failed", "who is not there is named")
    assert "there is no notifier 'no-such' in the settings" in (states()["nobody"].error.message)
    wait_for(lambda: states()["hanging"].attempt >= 2, "one that hangs is left, and tried again")
    wait_for(lambda: states()["broken"].attempt >= 2, "a bug is no crash")
    assert wrong.group.startswith("file:wrong")
    rules, _ = world.store.states()
    assert (rules["file:wrong"].trouble or "").startswith("title: ")
    world.fail(begin=100, name="later")
    wait_for(lambda: any(message.title == "later failed" for message in ops.messages), "the rest goes on")
    time.sleep(1.2)  # for a reaction to reactions to show itself
    assert len(everything.messages) == 4
    hanging.hangs.set()


def test_a_delivery_is_a_task_with_retries_and_can_be_retried_from_the_page(world: World) -> None:
    ops = Kept()
    ops.trouble = PassingError("it is busy")
    reactions = world.begin([{}], ops=ops)
    world.fail()

    def task() -> Task:
        return world.deliveries()[0]

    wait_for(lambda: len(world.deliveries()) == 1 and task().attempt >= 3, "it is tried again")
    assert (task().kind, task().name, task().queue) == ("reaction", "rule 0", "ops")
    wait_for(lambda: task().status == "failed" and task().attempt == 8, "in the end it has failed", 60)
    assert task().error is not None
    ops.trouble = None
    orders = PostgresOrders(world.url)
    control = Control(world.journal, world.reader, orders, {"reaction": ReactionRunner()})
    assert control.why_not_retry(task()) is None
    control.retry(task().task_id, "1")
    wait_for(lambda: task().status == "completed", "the retry from the page")
    assert (len(ops.messages), task().attempt) == (1, 9)
    assert reactions.engine.reading


def test_of_two_processes_one_reads_and_the_other_takes_over(world: World) -> None:
    first, second = Kept(), Kept()
    reading = world.begin([{"every": "0s"}], ops=first)
    other = Reactions(
        world.store,
        lambda: PostgresFeed(world.url),
        House(ops=second),
        reading.engine._own_rules,
        world.journal.append,
    )
    other.start()
    world.begun.append(other)
    world.fail(5)
    wait_for(lambda: len(first.messages) + len(second.messages) == 5, "each is told once")
    assert not other.engine.reading
    reading.stop(2.0)
    world.fail(5, begin=10)
    wait_for(lambda: other.engine.reading, "the other takes over")
    wait_for(lambda: len(first.messages) + len(second.messages) == 10, "nothing is lost in between")
    time.sleep(0.5)
    assert len(first.messages) + len(second.messages) == 10


def test_what_happened_before_there_were_reactions_is_not_reacted_to(world: World) -> None:
    world.fail(5, name="before")
    ops = Kept()
    world.begin([{"every": "0s"}], ops=ops)
    world.fail(1, name="after")
    wait_for(lambda: ops.messages, "what happens now is")
    assert [message.title for message in ops.messages] == ["after failed"]


PROGRAM = """
import sys, time
from orakul.journals.postgres import PostgresFeed, PostgresJournal
from orakul.journals.postgres.reactions import PostgresReactions
from orakul.reactions.making import Notifiers
from orakul.reactions.rule import rules_of
from orakul.reactions.service import Reactions

url, address = sys.argv[1:]
rules = rules_of([{"name": "r", "notify": "ops", "when": {"event": "task.failed"}, "every": "0s", "limit": "",
                   "group": ["task_id"]}])
ops = {"kind": "webhook", "url": address, "secret": "env:WEBHOOK_SECRET"}
Reactions(PostgresReactions(url), lambda: PostgresFeed(url), Notifiers({"ops": ops}), rules,
          PostgresJournal(url).append).start()
print("begun", flush=True)
time.sleep(600)
"""


def test_killed_in_the_middle_each_failure_is_told_at_least_once(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "secret of tests")
    told: dict[str, set[str]] = {}

    def answer(asked: Asked) -> tuple[int, Any]:
        data = asked.json["data"]
        told.setdefault(data["event"]["task_id"], set()).add(data["key"])
        return 200, {}

    def begin(party: Counterparty) -> subprocess.Popen[str]:
        found = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, world.url, party.url], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert found.stdout is not None
        assert found.stdout.readline() == "begun\n"
        return found

    with counterparty() as party:
        party.answer = answer
        process = begin(party)
        try:
            wait_for(lambda: _cursor(world) is not None, "it reads")
            for round_ in range(3):
                world.fail(60, begin=round_ * 60)
                wait_for(lambda: len(told) > round_ * 60 + 10, "it is in the middle of it")  # noqa: B023 (called now)
                process.send_signal(signal.SIGKILL)
                process.wait(30)
                process = begin(party)
            hurry(world)
            wait_for(lambda: len(told) == 180, "each is told", 60)
        finally:
            process.kill()
            process.wait(30)
    keys = {key for each in told.values() for key in each}
    assert len(keys) == 180, "told again or not, each is the same message"


def _cursor(world: World) -> int | None:
    row = world.store.connections.run("read", lambda c: c.execute("SELECT seq FROM orakul.reaction_cursor").fetchone())
    return row[0] if row else None


def hurry(world: World) -> None:
    """Let what a killed process had claimed be due now, rather than in a minute and a half."""
    statement = "UPDATE orakul.reaction_deliveries SET due_at = now() WHERE status = 'pending'"
    world.store.connections.run("write", lambda c: c.execute(statement))
