"""The bookshop's parcels: a service that publishes domain events, and the consumers that hear of them.

Two processes: `python -m orakul.cli.demo.parcels --owners anna,boris` publishes, within transactions of its own;
`orakul consume orakul.cli.demo.parcels:consumers` handles. One parcel in ten is stopped at the customs: its event is
then a dead letter, and passes when it is replayed; the first of them a clerk replays by herself.
"""

import argparse
import logging
import os
import random
import time
from collections.abc import Sequence

import psycopg

from orakul.cli.demo.children import end_with_parent
from orakul.delivery import Consumers, Delivery, PermanentError, Retries, outbox
from orakul.events import EventType, event_type

log = logging.getLogger("parcels")
chance = random.Random()  # noqa: S311 (sample work, no secrets)

CLERK = "clerk"
_PACE = 2.5
_CLERK_WAITS = 20.0
_TOWNS = ("Almaty", "Berlin", "Lisbon", "Omsk", "Tbilisi", "Yerevan")


@event_type("parcel.packed")
class ParcelPacked(EventType):
    """A parcel of the bookshop was packed."""

    parcel_id: int
    town: str


@event_type("parcel.sent")
class ParcelSent(EventType):
    """A parcel left the house."""

    parcel_id: int
    town: str
    grams: int


@event_type("parcel.delivered")
class ParcelDelivered(EventType):
    """A parcel was handed over."""

    parcel_id: int
    signed_by: str


consumers = Consumers()


@consumers.consumer("tracking_page", on="parcel.*", ordered=True)
async def show(event: ParcelPacked | ParcelSent | ParcelDelivered) -> None:
    """Show the customer where the parcel is."""
    log.info("Parcel %s: %s", event.parcel_id, event.type_name)


@consumers.consumer("courier", on="parcel.sent", retries=Retries(attempts=4, first=2, factor=2))
def call_courier(event: ParcelSent) -> None:
    """Ask the courier, whose line is at times busy."""
    time.sleep(chance.uniform(0.1, 0.8))
    if chance.random() < 0.2:  # noqa: PLR2004 (so that retries show)
        raise ConnectionError("the courier's line is busy")
    log.info("Parcel %s of %s g goes to %s", event.parcel_id, event.grams, event.town)


@consumers.consumer("customs", on="parcel.sent")
def declare(event: ParcelSent, delivery: Delivery) -> None:
    """Declare it at the customs, who want a form of one in ten."""
    if event.parcel_id % 10 == 1 and delivery.attempt == 1:
        raise PermanentError(f"parcel {event.parcel_id}: form 42 is missing; replay when it is there")


def _publish(connection: psycopg.Connection, owner: str, event: EventType) -> None:
    with connection.transaction():
        outbox.publish(connection, event.event(user_id=owner, source="parcels"))


def _work(url: str, owners: Sequence[str]) -> None:
    number = chance.randrange(1000, 9000) * 10
    began, replayed = time.monotonic(), False
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            number += 1
            owner, town = chance.choice(owners), chance.choice(_TOWNS)
            _publish(connection, owner, ParcelPacked(parcel_id=number, town=town))
            time.sleep(_PACE * chance.uniform(0.3, 0.7))
            _publish(connection, owner, ParcelSent(parcel_id=number, town=town, grams=chance.randrange(200, 3000)))
            time.sleep(_PACE * chance.uniform(0.3, 0.7))
            _publish(connection, owner, ParcelDelivered(parcel_id=number, signed_by=owner))
            if not replayed and time.monotonic() - began > _CLERK_WAITS:
                replayed = _replay_one(url)


def _replay_one(url: str) -> bool:
    """Do what the button Replay does, once, so that a way to the dead letters and back is there to be seen."""
    from orakul.delivery.room import DeadQuery
    from orakul.journals.postgres import PostgresJournal
    from orakul.journals.postgres.events import PostgresEventRoom
    from orakul.runners.delivery import DeliveryRunner
    from orakul.runners.delivery.replaying import BulkReplay

    letters, _ = PostgresEventRoom(url).dead(DeadQuery(consumer=("customs",), limit=1))
    if not letters:
        return False
    runner = DeliveryRunner(os.environ["ORAKUL_EVENTS_BROKER"])
    return bool(BulkReplay(runner, PostgresJournal(url)).replay(letters, CLERK, "the form has come"))


def main() -> None:
    """Publish until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--owners", required=True)
    given = parser.parse_args()
    end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    while True:
        try:
            _work(os.environ["ORAKUL_DATABASE_URL"], given.owners.split(","))
        except (psycopg.Error, OSError) as error:
            log.warning("%s; trying again", error)
            time.sleep(2.0)


if __name__ == "__main__":
    main()
