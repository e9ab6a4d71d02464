"""Consumers of the chaos test: one whose effects are in a database with an inbox, one that only writes lines."""

import os

from orakul.delivery import Consumers, Retries

consumers = Consumers(retries=Retries(attempts=50, first=0.05, factor=2, longest=1.0))
lines = os.open(os.environ["CHAOS_LINES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@consumers.consumer("effects", on="chaos.*", inbox=True, ordered=True, prefetch=50)
async def effects(event, connection):
    data = event.data
    await connection.execute(
        "INSERT INTO effects (event_id, subject, step) VALUES (%s, %s, %s)",
        (event.event_id, data["chaos_id"], data["step"]),
    )


@consumers.consumer("lines", on="chaos.told")
def write_line(event):
    os.write(lines, f"{event.event_id}\n".encode())
