"""A service that publishes: transactions on aggregates, some rolled back, some slow; what was committed is in its log.

    python relay_publisher.py URL NUMBER COUNT LOG

Each transaction counts an aggregate up and publishes an event with the new count: the counts of the events of one
aggregate are the order of its changes. A commit that the server did not answer may be there or not: its line says so.
"""

import random
import sys
import time
from pathlib import Path

import psycopg

from orakul.delivery import outbox
from orakul.events import Event

AGGREGATES = 40


def change(connection: psycopg.Connection, number: int, log: "object", dice: random.Random) -> None:
    aggregate, commits = dice.randrange(AGGREGATES), dice.random() > 0.1
    with connection.transaction():
        row = connection.execute(
            "UPDATE aggregates SET changes = changes + 1 WHERE id = %s RETURNING changes", (aggregate,)
        ).fetchone()
        assert row
        event = Event(event_type="defect.updated", data={"defect_id": aggregate, "n": row[0], "by": number})
        outbox.publish(connection, event, notify=number % 2 == 0)
        if dice.random() < 0.03:
            time.sleep(dice.random() * 0.05)
        print("trying" if commits else "rolled back", event.event_id, file=log, flush=True)  # type: ignore[call-overload]
        if not commits:
            raise psycopg.Rollback
    if commits:
        print("committed", event.event_id, file=log, flush=True)  # type: ignore[call-overload]


def main() -> None:
    url, number, count, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    dice = random.Random(number)  # noqa: S311 (chaos, not cryptography)
    with Path(path).open("a", encoding="utf-8") as log:
        done = 0
        while done < count:
            try:
                with psycopg.connect(url, autocommit=True, connect_timeout=3) as connection:
                    while done < count:
                        change(connection, number, log, dice)
                        done += 1
            except (psycopg.Error, psycopg.Rollback):  # the server went away in the middle
                time.sleep(0.1)


if __name__ == "__main__":
    main()
