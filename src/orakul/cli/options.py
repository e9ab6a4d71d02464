"""Options that several commands take; each is also a setting, so each has its variable."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Data", "Host", "Port"]

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of all that Orakul keeps on disk.  [ORAKUL_DATA]", show_default=False),
]
Host = Annotated[
    str | None, typer.Option("--host", help="Address to listen on.  [ORAKUL_HOST; 127.0.0.1]", show_default=False)
]
Port = Annotated[
    int | None,
    typer.Option("--port", help="Port to listen on; 0: any free one.  [ORAKUL_PORT; 8080]", show_default=False),
]
