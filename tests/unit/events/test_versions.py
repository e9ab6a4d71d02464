"""Versions of types: what older publishers send is lifted, what newer ones send is read where it fits."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orakul.delivery.outbox import row_of
from orakul.errors import InvalidEventError
from orakul.events import Catalogue, Event, EventType, event_type, upcast
from orakul.events.asyncapi import asyncapi
from orakul.events.catalogue import CATALOGUE

HOUSE = Catalogue()


@event_type("ship.sailed", HOUSE, version=3)
class ShipSailed(EventType):
    """A ship left its harbour."""

    ship_id: int
    harbour: str
    crew: int = 0


@upcast("ship.sailed", 1, HOUSE)
def _the_harbour_was_called_port(data: dict[str, Any]) -> dict[str, Any]:
    return {"harbour": data.pop("port"), **data}


@upcast("ship.sailed", 2, HOUSE)
def _the_crew_was_a_list(data: dict[str, Any]) -> dict[str, Any]:
    return data | {"crew": len(data.get("crew", ()))}


def sailed(version: int | None, **data: Any) -> Event:
    return Event(event_type="ship.sailed", data=data, extra={} if version is None else {"version": version})


@pytest.mark.parametrize(
    "event",
    [
        sailed(None, ship_id=1, port="Псков", crew=["a", "b"]),
        sailed(1, ship_id=1, port="Псков", crew=["a", "b"]),
        sailed(2, ship_id=1, harbour="Псков", crew=["a", "b"]),
        sailed(3, ship_id=1, harbour="Псков", crew=2),
        sailed(4, ship_id=1, harbour="Псков", crew=2, flag="ru"),
    ],
)
def test_every_version_reads_as_the_newest(event: Event) -> None:
    before = dict(event.data)
    assert ShipSailed.of(event) == ShipSailed(ship_id=1, harbour="Псков", crew=2)
    assert event.data == before


def test_a_newer_version_that_does_not_fit_says_so() -> None:
    with pytest.raises(InvalidEventError, match=r"data\.harbour.*it is version 4, known here is 3"):
        ShipSailed.of(sailed(4, ship_id=1, harbour={"name": "Псков"}))


def test_data_that_cannot_be_lifted_say_from_where() -> None:
    with pytest.raises(InvalidEventError, match=r"version 1 cannot be made version 2: KeyError: 'port'"):
        ShipSailed.of(sailed(1, ship_id=1))
    with pytest.raises(InvalidEventError, match="the version is a number from 1, not 'two'"):
        ShipSailed.of(Event(event_type="ship.sailed", extra={"version": "two"}))

    catalogue = Catalogue()

    @event_type("ship.sunk", catalogue, version=2)
    class ShipSunk(EventType):
        """A ship went down."""

        ship_id: int

    with pytest.raises(InvalidEventError, match=r'nothing makes it version 2: @upcast\("ship.sunk", 1\)'):
        ShipSunk.of(Event(event_type="ship.sunk", data={"ship_id": 1}))


def test_what_is_published_says_its_version() -> None:
    assert ShipSailed(ship_id=1, harbour="Псков").event().to_dict()["version"] == 3
    stamped = HOUSE.stamped(sailed(None, ship_id=1, harbour="Псков"))
    assert stamped.extra == {"version": 3}
    with pytest.raises(InvalidEventError, match=r"data: .*harbour"):
        HOUSE.stamped(sailed(None, ship_id=1, port="Псков"))
    assert HOUSE.stamped(sailed(1, ship_id=1, port="Псков")).extra == {"version": 1}
    assert Event.from_json(stamped.to_json()).extra == {"version": 3}


def test_the_row_of_a_versioned_event_carries_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_types", "_upcasters"):
        monkeypatch.setattr(CATALOGUE, name, getattr(CATALOGUE, name) | getattr(HOUSE, name))
    row = row_of(sailed(None, ship_id=1, harbour="Псков"), notify=False)
    assert json.loads(row.envelope)["version"] == 3
    assert row.ordering_key == "ship:1"


def test_the_document_has_a_channel_a_message_and_a_schema_for_each_type() -> None:
    document = asyncapi(HOUSE, title="Ships")
    assert (document["asyncapi"], document["info"]["title"]) == ("3.0.0", "Ships")
    assert document["channels"]["ship.sailed"]["address"] == "ship.sailed"
    message = document["components"]["messages"]["ship.sailed"]
    assert message["summary"] == "A ship left its harbour."
    assert message["payload"]["properties"]["event_type"] == {"const": "ship.sailed"}
    reference = message["payload"]["properties"]["data"]["$ref"]
    schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert schema["required"] == ["ship_id", "harbour"]
    json.dumps(document)


def test_the_command_prints_the_types_of_the_modules_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "harbour.py").write_text(
        "from orakul.events import EventType, event_type\n@event_type('ship.docked')\nclass ShipDocked(EventType):\n"
        "    'A ship is in its harbour.'\n\n    ship_id: int\n",
        "utf-8",
    )

    def orakul(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "orakul", "events", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    document = json.loads(orakul("asyncapi", "harbour").stdout)
    assert list(document["channels"]) == ["ship.docked"]
    assert list(json.loads(orakul("schema", "harbour").stdout)["properties"]) == ["ship.docked"]
    assert "task.failed" in json.loads(orakul("asyncapi", "--own").stdout)["channels"]
    assert "name the modules" in orakul("asyncapi").stderr
    assert "there is no module 'nowhere' here" in orakul("schema", "nowhere").stderr
