"""`orakul db`: the tables of the journal."""

from typing import TYPE_CHECKING, Annotated

import typer

from orakul.cli.options import Data
from orakul.settings import load_settings

if TYPE_CHECKING:
    from orakul.tasks.retention import Preview, Rules

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


@app.command()
def retention(
    data: Data = None,
    *,
    preview: Annotated[bool, typer.Option("--preview", help="Show what would go now; nothing goes.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Let it go now, not in the next hour.")] = False,
) -> None:
    """Say how long what is kept; what is open stays, however old (`orakul serve` lets go each hour)."""
    from orakul.assembly import open_database
    from orakul.journals.postgres import Connections, PostgresRetention
    from orakul.tasks.retention import rules_of

    settings = load_settings({"data": data})
    with open_database(settings) as database, Connections(database.url) as connections:
        kept = PostgresRetention(connections, rules_of(settings))
        if preview:
            _print_preview(kept.preview())
            return
        _print_rules(kept.rules())
        if now:
            print(f"dropped {kept.forget()} days of events and logs, and the ended tasks that are past their days")


def _print_rules(rules: "Rules") -> None:
    by = (
        f"set by {rules.changed_by} at {rules.changed_at:%Y-%m-%d %H:%M} UTC"
        if rules.changed_at
        else "as the settings say"
    )
    print(f"kept, {by}:")
    for what, days in (("ended tasks", rules.tasks_days), ("events", rules.events_days), ("logs", rules.logs_days)):
        print(f"  {what:<24} {days:>5} days")
    for kind, days in sorted(rules.kinds.items()):
        print(f"  {f'ended tasks of {kind}':<24} {days:>5} days")


def _print_preview(found: "Preview") -> None:
    if not found.items:
        print("nothing is past its retention")
        return
    print(f"{'day':<12}{'what':<8}{'kind':<14}{'rows':>12}{'MB':>10}{'held by open tasks':>20}")
    for each in found.items:
        size = "" if each.bytes is None else f"{each.bytes / 1e6:.1f}"
        print(f"{each.day!s:<12}{each.what:<8}{each.kind or '':<14}{each.count:>12,}{size:>10}{each.held or '':>20}")
    if found.partial:
        print("… and more: only the oldest were counted")
