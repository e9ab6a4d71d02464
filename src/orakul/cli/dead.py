"""`orakul events dead`: messages that their consumers could not handle, listed and replayed."""

import getpass
import json
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from orakul.cli.options import Data
from orakul.errors import SettingsError
from orakul.settings import load_settings

if TYPE_CHECKING:
    from orakul.delivery.room import DeadQuery

__all__ = ["app"]

app = typer.Typer(help="Messages that their consumers could not handle.", no_args_is_help=True)

_AT_ONCE = 1_000

Consumer = Annotated[
    list[str] | None, typer.Option("--consumer", help="Of this consumer; may be repeated.", show_default=False)
]
Type = Annotated[
    list[str] | None, typer.Option("--type", help="Of this type: defect.created, defect.*.", show_default=False)
]
Error = Annotated[str | None, typer.Option("--error", help="With this type of error.", show_default=False)]


@app.command("list")
def listed(
    *,
    consumer: Consumer = None,
    type_: Type = None,
    error: Error = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each.")] = False,
    data: Data = None,
) -> None:
    """List dead letters, the latest first."""
    from orakul.assembly import open_database
    from orakul.journals.postgres import Connections
    from orakul.journals.postgres.events import PostgresEventRoom

    settings = load_settings({"data": data})
    with open_database(settings) as database, Connections(database.url, size=1) as connections:
        items, following = PostgresEventRoom(connections).dead(_query(consumer, type_, error, limit))
    for each in items:
        if as_json:
            print(json.dumps(msgspec.to_builtins(each), ensure_ascii=False))
        else:
            said = f"{each.error_type}: {each.error_message or ''}".splitlines()[0][:120]
            print(f"{each.died_at:%Y-%m-%d %H:%M:%S}  {each.event_type or '–':<28} {each.task_id}\n    {said}")
    if not as_json:
        print(
            "There are no dead letters." if not items else f"{len(items)} dead letters{', and more' * bool(following)}."
        )


@app.command()
def replay(
    *,
    task_id: Annotated[
        list[str] | None, typer.Option("--id", help="This one, by its task's id; may be repeated.", show_default=False)
    ] = None,
    consumer: Consumer = None,
    type_: Type = None,
    error: Error = None,
    every: Annotated[bool, typer.Option("--all", help="All dead letters there are.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept with the command.")] = None,
    broker: Annotated[
        str | None, typer.Option("--broker", help="The broker of events.  [ORAKUL_EVENTS_BROKER]", show_default=False)
    ] = None,
    data: Data = None,
) -> None:
    """Put dead letters back into their consumers' queues, as a further attempt."""
    from orakul.assembly import open_database
    from orakul.journals.postgres import Connections, PostgresJournal
    from orakul.journals.postgres.events import PostgresEventRoom
    from orakul.runners.delivery import DeliveryRunner
    from orakul.runners.delivery.replaying import BulkReplay

    if not (task_id or consumer or type_ or error or every):
        raise SettingsError("which? Say --consumer, --type, --error or --id; or --all")
    settings = load_settings({"data": data, "events.broker": broker})
    if settings.events.broker is None:
        raise SettingsError("which broker? Say --broker amqp://host/ (or redis://…, or set ORAKUL_EVENTS_BROKER)")
    author = f"cli:{getpass.getuser()}"
    replayed = gone = 0
    with open_database(settings) as database, Connections(database.url, size=2) as connections:
        room = PostgresEventRoom(connections)
        replayer = BulkReplay(DeliveryRunner(settings.events.broker), PostgresJournal(connections))
        query = _query(consumer, type_, error, _AT_ONCE)
        query = msgspec.structs.replace(query, task_ids=task_id)
        while True:
            letters, following = room.dead(query)
            done = replayer.replay(letters, author, reason) if letters else []
            replayed, gone = replayed + len(done), gone + len(letters) - len(done)
            if following is None:
                break
            query = msgspec.structs.replace(query, cursor=following)
    missing = f"; {gone} were no longer at the broker" if gone else ""
    print(f"{replayed} replayed{missing}." if replayed or gone else "There are no such dead letters.")


def _query(consumer: list[str] | None, types: list[str] | None, error: str | None, limit: int) -> "DeadQuery":
    from orakul.delivery.room import DeadQuery

    return DeadQuery(consumer=consumer or (), types=types or (), error=error, limit=limit)
