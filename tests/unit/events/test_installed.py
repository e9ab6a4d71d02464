"""Observers of other packages come in by their entry points, and a broken one harms nobody."""

from typing import Any

import pytest

from orakul.events import Event, installed

seen: list[Any] = []


class Audit:
    def observe(self, event: Event) -> None:
        seen.append(("audit", event.event_type))


def plain(event: Event) -> None:
    seen.append(("plain", event.event_type))


def make() -> Audit:
    return Audit()


class Recorder:
    immediate = True

    def observe(self, event: Event) -> None:
        seen.append(("recorder", event.event_type))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(**named: Any) -> None:
        seen.clear()
        monkeypatch.setattr(installed, "names", lambda _: list(named))
        monkeypatch.setattr(installed, "load", lambda _, name: named[name])

    return put


def test_classes_functions_and_makers_are_observers(install: Any) -> None:
    install(audit=Audit, plain=plain, made=make)
    dispatcher = installed.observed(Recorder())
    assert dispatcher is not None
    with dispatcher:
        dispatcher.publish(Event(event_type="task.pending", data={"not": "checked"}))
    assert seen[0] == ("recorder", "task.pending")
    assert sorted(seen[1:]) == [("audit", "task.pending"), ("audit", "task.pending"), ("plain", "task.pending")]


def test_without_any_the_recorder_is_told_directly(install: Any) -> None:
    install()
    assert installed.observed(Recorder()) is None


def test_broken_one_is_logged_and_left_out(install: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def __init__(self) -> None:
            raise RuntimeError("no")

    install(broken=Broken, nothing=object(), audit=Audit)
    assert [type(one) for one in installed.installed_observers()] == [Audit]
    assert "'broken' cannot be used" in caplog.text
    assert "'nothing' cannot be used" in caplog.text
