"""Celery's events in Orakul's words, in the orders in which they really come."""

from typing import Any

import pytest

from orakul.events import Event
from orakul.runners.celery.translation import Translator
from orakul.tasks.masking import Masks
from orakul.tasks.status import Status, era, rank_of


class Wire:
    """Events as a worker sends them, one after the other."""

    def __init__(self) -> None:
        self.translator = Translator(Masks(("password",)))
        self.clock = 0
        self.events: list[Event] = []

    def say(self, kind: str, **fields: Any) -> list[Event]:
        self.clock += 1
        form = {
            "type": kind,
            "timestamp": 1000.0 + self.clock,
            "clock": self.clock,
            "hostname": "w@h",
            "pid": 1,
            **fields,
        }
        events = self.translator.translate(form, 1000.0 + self.clock)
        self.events.extend(events)
        return events

    def task(self, kind: str, **fields: Any) -> list[Event]:
        return self.say(f"task-{kind}", uuid="t", **fields)

    @property
    def state(self) -> tuple[Status, int]:
        """The status and attempt that the rule of projection makes of all that was said."""
        best = None
        for event in self.events:
            said = rank_of(event.event_type, event.data.get("stage"))
            if said is not None:
                key = (era(event.data["attempt"], event.data["run"]), said[1], event.timestamp, event.event_id)
                best = max(best or (key, said[0], event.data["attempt"]), (key, said[0], event.data["attempt"]))
        assert best is not None
        return best[1], best[2]


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_a_task_that_succeeds(wire: Wire) -> None:
    wire.task("sent", name="a.b", args="(1,)", kwargs="{'password': 'x', 'n': [1]}", retries=0, queue="q")
    wire.task("received", name="a.b", args="(1,)", kwargs="{}", retries=0)
    wire.task("started")
    wire.task("succeeded", result="'fine'", runtime=0.1)
    assert [event.event_type for event in wire.events] == [
        "task.pending", "task.pending", "task.in_progress", "task.completed",
    ]  # fmt: skip
    assert wire.events[0].data["arguments"] == {"args": [1], "kwargs": {"password": "•••", "n": [1]}}
    assert all(event.data["name"] == "a.b" for event in wire.events)
    assert wire.state == (Status.COMPLETED, 1)
    assert not wire.translator.tasks


def test_the_second_attempt_is_received_before_the_first_has_ended(wire: Wire) -> None:
    wire.task("received", name="a.b", retries=0)
    wire.task("started")
    wire.task("received", name="a.b", retries=1)
    wire.task("retried", exception="ValueError('no')", traceback="Traceback …")
    failed = wire.events[-1]
    assert (failed.event_type, failed.data["attempt"], failed.data["retrying"]) == ("task.failed", 1, True)
    assert wire.state == (Status.PENDING, 2)
    wire.task("started")
    wire.task("succeeded", result="1")
    assert wire.state == (Status.COMPLETED, 2)


def test_a_delivery_again_is_a_new_run_that_outranks_the_lost_one(wire: Wire) -> None:
    wire.task("received", name="a.b", retries=0)
    wire.task("started")
    wire.task("received", name="a.b", retries=0, hostname="other@h")
    wire.task("started", hostname="other@h")
    assert wire.events[-1].data["run"] > 0
    wire.task("failed", exception="KeyError('x')", hostname="other@h")
    assert wire.state == (Status.FAILED, 1)
    assert wire.events[-1].data["run"] == wire.events[-2].data["run"]


@pytest.mark.parametrize(
    ("kind", "fields", "status"),
    [
        ("revoked", {"terminated": True, "signum": "15"}, Status.CANCELLED),
        ("rejected", {"requeue": False}, Status.FAILED),
        ("rejected", {"requeue": True}, Status.IN_PROGRESS),
        ("cancelled", {}, Status.FAILED),
        ("strange", {}, Status.IN_PROGRESS),
    ],
)
def test_other_ends(wire: Wire, kind: str, fields: dict[str, Any], status: Status) -> None:
    wire.task("received", name="a.b", retries=0)
    wire.task("started")
    wire.task(kind, **fields)
    assert wire.state == (status, 1)


def test_on_gevent_a_success_after_the_termination_does_not_count(wire: Wire) -> None:
    wire.task("started")
    wire.task("revoked", terminated=True)
    wire.task("succeeded", result="None")
    assert wire.state == (Status.CANCELLED, 1)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("ValueError('no luck')", "ValueError", "no luck"),
        ("KeyError('a', 1)", "KeyError", "'a', 1"),
        ("TimeLimitExceeded(30)", "TimeLimitExceeded", "30"),
        ("<Odd object at 0x1>", "Error", "<Odd object at 0x1>"),
        ("", "Error", ""),
        (None, "Error", ""),
    ],
)
def test_errors_are_read_from_their_texts(wire: Wire, text: Any, kind: str, message: str) -> None:
    [event] = wire.task("failed", exception=text)
    assert (event.data["error"]["type"], event.data["error"]["message"]) == (kind, message)


@pytest.mark.parametrize("kwargs", ["{'password': <Secret x>, 'n': 1}", "{'n': 1, 'password': 'abc…", "{'db_password'"])
def test_arguments_cut_or_without_a_literal_are_hidden_where_a_secret_is_named(wire: Wire, kwargs: str) -> None:
    [event] = wire.task("received", name="a.b", args="(<object>,)", kwargs=kwargs)
    assert event.data["arguments"] == {"args": ["(<object>,)"], "kwargs": {"…": "•••"}}


def test_the_same_event_twice_is_one_event(wire: Wire) -> None:
    form = {"type": "task-started", "uuid": "t", "timestamp": 5.0, "clock": 9, "hostname": "w@h", "pid": 1}
    [first], [second] = wire.translator.translate(form, 6.0), wire.translator.translate(form, 7.0)
    assert (first.event_id, first.timestamp) == (second.event_id, second.timestamp)


def test_a_worker_that_comes_back_to_its_broker_has_not_begun_anew(wire: Wire) -> None:
    kinds = [
        event.event_type for pid in (1, 1, 2) for event in wire.say("worker-online", pid=pid, timestamp=wire.clock * 9)
    ]
    assert kinds == ["worker.heartbeat", "worker.online"]
    assert [e.event_type for e in wire.say("worker-offline")] == ["worker.offline"]


def test_a_task_that_its_worker_does_not_have_any_more_has_ended_unseen(wire: Wire) -> None:
    wire.task("received", name="a.b", retries=0)
    wire.task("started")
    held = {"w@h": [{"id": "t"}]}
    look = wire.translator.reconcile
    assert look({}, held, 5000.0, patience=20) == [], "the worker has it"
    assert look({}, {}, 5000.0, patience=20) == [], "the worker did not answer"
    assert look({}, {"w@h": []}, 1010.0, patience=20) == [], "it may be on its way"
    [event] = look({}, {"w@h": []}, 5000.0, patience=20)
    assert (event.event_type, event.data["stage"], event.data["error"]["type"]) == ("task.failed", "lost", "EndNotSeen")


@pytest.mark.parametrize(
    "form", [{}, {"type": 5}, {"type": "task-started"}, {"type": "task-x", "uuid": 1}, {"type": "?"}]
)
def test_strange_forms_are_passed_over(wire: Wire, form: dict[str, Any]) -> None:
    assert wire.translator.translate(form, 1.0) == []
