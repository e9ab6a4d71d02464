"""`orakul db`: the tables of the journal."""

import typer

from orakul.cli.options import Data
from orakul.settings import load_settings

__all__ = ["app"]

app = typer.Typer(help="The journal's tables: bring them up to date, see where they are.", no_args_is_help=True)


@app.command()
def upgrade(data: Data = None) -> None:
    """Bring the tables up to date (`orakul serve` does this by itself)."""
    from orakul.assembly import open_database
    from orakul.journals.postgres import migrations

    with open_database(load_settings({"data": data})) as database:
        state = migrations.upgrade(database.url)
        print(f"{database.shown}: up to date (version {state.current})")


@app.command()
def status(data: Data = None) -> None:
    """Say whether the tables are up to date; exit code 1 where they are not."""
    from orakul.assembly import open_database
    from orakul.journals.postgres import migrations

    with open_database(load_settings({"data": data})) as database:
        state = migrations.status(database.url)
    if not state.pending:
        print(f"{database.shown}: up to date (version {state.current})")
        return
    has = f"has version {state.current}" if state.current else "has no tables yet"
    print(f"{database.shown}: {has}, the newest is {state.head}: run orakul db upgrade")
    raise typer.Exit(1)
