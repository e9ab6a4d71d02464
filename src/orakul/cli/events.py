"""`orakul events`: the catalogue of domain events as documents, and what could not be relayed."""

import importlib
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from orakul.cli.options import Data
from orakul.errors import SettingsError
from orakul.settings import load_settings

__all__ = ["app"]

app = typer.Typer(help="The catalogue of domain events; what could not be relayed.", no_args_is_help=True)

_Modules = Annotated[
    list[str] | None, typer.Argument(metavar="MODULE…", help="Modules that define event types: `shop.events`.")
]
_Own = Annotated[bool, typer.Option("--own", help="Orakul's own types too.")]


@app.command()
def schema(modules: _Modules = None, *, own: _Own = False) -> None:
    """Print the JSON Schema of the data of each type."""
    _print(_catalogue(modules or [], own=own).json_schema())


@app.command()
def asyncapi(
    modules: _Modules = None,
    *,
    own: _Own = False,
    title: Annotated[str, typer.Option("--title", help="The document's title.")] = "Domain events",
    version: Annotated[str, typer.Option("--version", help="The document's version.")] = "1.0.0",
) -> None:
    """Print an AsyncAPI 3 document: a channel for each type, its message, the schema of its data."""
    from orakul.events.asyncapi import asyncapi as document

    _print(document(_catalogue(modules or [], own=own), title=title, version=version))


@app.command()
def aside(
    *,
    back: Annotated[bool, typer.Option("--back", help="Put them back into the outbox, to be relayed again.")] = False,
    event_type: Annotated[str | None, typer.Option("--type", help="Only of this type.", show_default=False)] = None,
    data: Data = None,
) -> None:
    """List the events that could not be relayed, with the reason; or put them back."""
    from orakul.assembly import open_database
    from orakul.journals.postgres import Connections
    from orakul.journals.postgres.outbox import laid_aside, put_back

    with open_database(load_settings({"data": data})) as database, Connections(database.url) as connections:
        if back:
            print(f"{put_back(connections, event_type)} events are in the outbox again")
            return
        rows = laid_aside(connections, event_type)
        for died_at, event_id, kind, key, attempts, reason in rows:
            print(f"{died_at:%Y-%m-%d %H:%M:%S}  {event_id}  {kind}  {key}  refused {attempts} times  {reason}")
        print(f"{len(rows)} events are laid aside" if rows else "no event is laid aside")


def _catalogue(modules: list[str], *, own: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202 (loaded late)
    from orakul.events import CATALOGUE
    from orakul.events.asyncapi import catalogue_of

    sys.path.insert(0, str(Path.cwd()))
    for name in [*modules, *(["orakul.events.types"] if own else [])]:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"there is no module {error.name!r} here: run it where `import {name}` works"
            ) from error
    chosen = catalogue_of(CATALOGUE, own=own)
    if not len(chosen):
        raise SettingsError("no type of event is known: name the modules that define them, or say --own")
    return chosen


def _print(document: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
