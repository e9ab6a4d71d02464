"""Domain events as people see and command them: figures, the way of an event, dead letters, retry, cancel, replay."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from servers import wait_for
from stacks import Stack

from orakul.delivery import outbox
from orakul.events import Event

if TYPE_CHECKING:
    from playwright.sync_api import Page


class House:
    """Orakul with a relay, consumers beside it, and a service that publishes."""

    def __init__(self, stack: Stack, broken: Path) -> None:
        self.stack = stack
        self.broken = broken
        self.consumer = stack.spawn([sys.executable, "-m", "orakul", "consume", "parcels:consumers"], "consumer",
                                    PARCELS_BROKEN=str(broken))  # fmt: skip
        wait_for(self._listening, "the consumers to listen", 60)

    def _listening(self) -> bool:
        assert self.consumer.alive, self.consumer.text()
        return self.consumer.text().count("listens to") == 3

    def publish(self, event_type: str, **data: Any) -> Event:
        event = Event(event_type=event_type, data={"parcel_id": 1, **data}, user_id=7)
        with psycopg.connect(self.stack.database_url) as connection, connection.transaction():
            outbox.publish(connection, event)
        return event

    def get(self, path: str, **query: Any) -> Any:
        with self.stack.client() as client:
            answer = client.get(path, params=query)
            answer.raise_for_status()
            return answer.json()

    def post(self, path: str, body: dict[str, Any] | None = None, who: str = "admin") -> Any:
        with self.stack.client(who) as client:
            return client.post(path, json=body or {})

    def dead(self, count: int, **query: Any) -> list[dict[str, Any]]:
        """Wait until there are so many dead letters."""

        def look() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = self.get("/api/deadletters", **query)["items"]
            assert len(items) == count, items
            return items or [{}]

        found = wait_for(look, f"{count} dead letters", 40)
        assert isinstance(found, list)
        return found

    def orakul(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "orakul", *command],
            env=self.stack.environment,
            cwd=self.stack.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def house(make_stack: Callable[..., Stack], redis_url: str, tmp_path: Path) -> House:
    stack = make_stack(ORAKUL_EVENTS_BROKER=redis_url.replace("/0", "/3"), ORAKUL_EVENTS_NOTIFY="true")
    broken = tmp_path / "broken"
    broken.touch()
    return House(stack, broken)


def test_deliveries_are_tasks_that_are_seen_retried_cancelled_and_replayed(house: House) -> None:
    event = house.publish("parcel.sent")
    labels, customs = f"labels:{event.event_id}", f"customs:{event.event_id}"
    task = house.stack.wait_for_task(labels, status="completed", timeout=60)
    assert (task["kind"], task["name"], task["user_id"], task["group_id"]) == (
        "delivery",
        "labels",
        "7",
        event.event_id,
    )
    [letter] = house.dead(1)
    assert (letter["task_id"], letter["event_type"], letter["error_type"]) == (customs, "parcel.sent", "PermanentError")
    task = house.stack.task(customs)
    assert (task["status"], task["outcome"], task["attempt"]) == ("failed", "Dead", 1)
    assert "the form 42 is missing" in task["error"]["traceback"]
    assert task["can"]["retry"]["allowed"], task["can"]

    # Retried from the page of the task, while it is still broken: dead again, as the second attempt.
    assert house.post(f"/api/tasks/{customs}/retry").status_code == 200
    wait_for(lambda: house.stack.task(customs)["attempt"] == 2 and house.dead(1), "the second attempt", 40)
    # Two more; then all of the consumer's replayed at once, mended.
    events = [event, house.publish("parcel.sent"), house.publish("parcel.sent")]
    house.dead(3, consumer="customs", type="parcel.*")
    house.broken.unlink()
    assert house.post("/api/deadletters/replay", {"filter": {}}, who="viewer").status_code == 403
    answer = house.post("/api/deadletters/replay", {"filter": {"consumer": ["customs"]}, "reason": "form found"})
    assert (answer.status_code, answer.json()["replayed"], answer.json()["gone"]) == (200, 3, 0), answer.text
    for each in events:
        house.stack.wait_for_task(f"customs:{each.event_id}", status="completed", timeout=60)
    house.dead(0)
    assert house.stack.task(customs)["attempt"] == 3

    # One that waits for its next attempt is cancelled, and stays so.
    flown = house.publish("parcel.flown")
    airline = f"airline:{flown.event_id}"
    waiting = wait_for(
        lambda: house.stack.tasks(kind="delivery", name="airline", status="pending"), "a pending one", 40
    )
    assert waiting[0]["attempt"] == 2  # type: ignore[index]  # a list
    with house.stack.client() as client:
        assert client.delete(f"/api/tasks/{airline}").status_code == 200
    assert house.stack.task(airline)["status"] == "cancelled"

    way = house.get("/api/events/journey", event_id=event.event_id)
    steps = [(each["step"], each["consumer"], each["attempt"]) for each in way["steps"]]
    assert steps[:2] == [("published", None, None), ("relayed", None, None)]
    assert ("completed", "labels", 1) in steps
    assert [each for each in steps if each[0] == "failed"] == [("failed", "customs", 1), ("failed", "customs", 2)]
    assert ("completed", "customs", 3) in steps

    def counted() -> bool:
        found = house.get("/api/events/figures", hours=2)
        by_type = {each["event_type"]: each for each in found["types"]}
        by_consumer = {each["consumer"]: each for each in found["consumers"]}
        assert by_type["parcel.sent"]["published"] == 3, found
        assert (by_consumer["customs"]["delivered"], by_consumer["customs"]["dead"]) == (3, 4), found
        assert by_consumer["airline"]["retried"] == 1, found
        return True

    wait_for(counted, "the figures to be added up", 40)
    with house.stack.client() as client:
        metrics = client.get("/metrics").text
    assert 'orakul_events_published_total{type="parcel.sent"} 3' in metrics
    assert 'orakul_dead_letters_total{consumer="customs",type="parcel.sent"} 4' in metrics
    listed = house.get("/api/events/published", type="parcel.sent")["items"]
    assert [each["event_id"] for each in listed] == [each.event_id for each in reversed(events)]
    assert listed[0]["deliveries"] == {"completed": 2}


def test_dead_letters_are_listed_and_replayed_from_the_command_line_and_the_page(house: House, page: "Page") -> None:
    events = [house.publish("parcel.sent") for _ in range(3)]
    house.dead(3)
    told = [json.loads(line) for line in house.orakul("events", "dead", "list", "--json").splitlines()]
    assert {each["task_id"] for each in told} == {f"customs:{each.event_id}" for each in events}
    house.broken.unlink()
    assert house.orakul("events", "dead", "replay", "--id", told[0]["task_id"]) == "1 replayed.\n"
    house.dead(2)

    house.stack.sign_in(page, "admin", "/events")
    page.get_by_role("heading", name="Dead letters").wait_for()
    rows = page.locator(".dead-letters tbody tr")
    wait_for(lambda: rows.count() == 2, "two dead letters on the page")
    page.get_by_role("button", name="Replay all that fit").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Replay", exact=True).click()
    house.dead(0)
    page.get_by_text("No dead letters").wait_for()
    page.locator(".published tbody tr").first.get_by_role("link").click()
    page.locator(".journey-steps li[data-step='completed']").first.wait_for()


def test_what_cannot_be_consumed_says_what_to_do(tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / "empty_app.py").write_text("x = 1\n")
    (tmp_path / "broken_app.py").write_text("import nothing_like_it\n")
    (tmp_path / "good_app.py").write_text(
        "from orakul.delivery import Consumers\napp = Consumers()\n@app.consumer('a', on='x.y')\ndef a(event): pass\n"
    )
    for arguments, said in [
        (["no_such_module:app"], "there is no module 'no_such_module'"),
        (["broken_app"], "it needs 'nothing_like_it', which is not installed"),
        (["empty_app"], "nothing to consume"),
        (["empty_app:x"], "is a int; it is to be a Consumers"),
        (["good_app:other"], "there is: app"),
        (["good_app:app", "--only", "b"], "there is no consumer 'b'; there is: a"),
        (["good_app:app"], "which broker? Say --broker"),
        (["good_app:app", "--broker", "carrier-pigeon://x"], "no broker is known"),
    ]:
        done = subprocess.run(
            [sys.executable, "-m", "orakul", "consume", *arguments, "--data", str(data_dir)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode in {1, 2}, arguments
        assert said in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
