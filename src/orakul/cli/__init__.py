"""The command line, one file a command."""

import sys
from typing import Annotated

import typer

from orakul import __version__
from orakul.cli import consume, db, dead, demo, doctor, events, export, report, run, serve, tail, user, watch
from orakul.errors import OrakulError, SettingsError

__all__ = ["app", "main"]

app = typer.Typer(
    name="orakul",
    help="Mission control for the background work of Python systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings: orakul.toml in the working directory, or ORAKUL_… in the environment. First steps: orakul demo",
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (typer's form of a callback)
    if wanted:
        print(f"orakul {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Mission control for the background work of Python systems."""


app.command("demo")(demo.command)
app.command("serve")(serve.command)
app.command("consume")(consume.command)
app.command("tail")(tail.command)
app.command("report")(report.command)
app.command("export")(export.command)
app.command("doctor")(doctor.command)
events.app.add_typer(dead.app, name="dead")
app.add_typer(events.app, name="events")
app.add_typer(run.app, name="run")
app.add_typer(watch.app, name="watch")
app.add_typer(db.app, name="db")
app.add_typer(user.app, name="user")


def main() -> None:
    """Run the command line; what goes wrong is one readable sentence and an exit code, no traceback."""
    try:
        app(prog_name="orakul")
    except SettingsError as error:
        print(*(f"orakul: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        raise SystemExit(2) from None
    except OrakulError as error:
        print(f"orakul: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
