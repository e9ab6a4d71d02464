"""`orakul watch`: fleets that do not know Orakul."""

from typing import Annotated

import typer

from orakul.cli.options import Data
from orakul.errors import OrakulError, SettingsError
from orakul.settings import load_settings

__all__ = ["app"]

app = typer.Typer(help="Watch what does not know Orakul.", no_args_is_help=True)


@app.callback()
def sources() -> None:
    """Watch what does not know Orakul."""


@app.command()
def celery(
    broker: Annotated[
        str | None,
        typer.Option("--broker", help="The broker: redis://… or amqp://…  [ORAKUL_CELERY_BROKER]", show_default=False),
    ] = None,
    data: Data = None,
) -> None:
    """Record a Celery fleet from its events, without a change to its code; until Ctrl-C."""
    from orakul.cli.logs import set_up_logs
    from orakul.cli.server import orderly_end

    settings = load_settings({"data": data, "celery.broker": broker})
    set_up_logs(settings.log_level)
    if settings.celery.broker is None:
        raise SettingsError("which broker? Say --broker redis://host:6379/0 (or set ORAKUL_CELERY_BROKER)")
    with orderly_end():
        raise OrakulError("the watcher is being built")
