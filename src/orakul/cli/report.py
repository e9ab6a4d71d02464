"""`orakul report`: what took how long, what failed, what is slow, from the journal."""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orakul.cli.options import Data
from orakul.errors import InvalidQueryError
from orakul.settings import load_settings

if TYPE_CHECKING:
    from orakul.tasks import Task, TaskReader

__all__ = ["command"]

_PERIOD = re.compile(r"(\d+)\s*([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Form(StrEnum):
    """The forms of a report."""

    TABLE = "table"
    JSON = "json"
    XML = "xml"
    CSV = "csv"
    HTML = "html"


def command(
    *,
    since: Annotated[str, typer.Option(help="How far back: 90m, 24h, 7d.")] = "24h",
    kind: Annotated[str | None, typer.Option(help="One kind of task only: operation, celery, …")] = None,
    name: Annotated[str | None, typer.Option(help="One name only, or all that begin so: LOAD_*.")] = None,
    form: Annotated[Form, typer.Option("--format", help="The form of what is printed.")] = Form.TABLE,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to a file; its ending names the form (.html, .parquet, …)."),
    ] = None,
    most: Annotated[int, typer.Option(help="Read at most so many tasks, the latest ones.")] = 200_000,
    data: Data = None,
) -> None:
    """Report on finished tasks: counts, errors, total and own time, percentiles, bottlenecks."""
    from orakul.assembly import assemble, open_database
    from orakul.operations.analyzer import OperationAnalyzer
    from orakul.operations.export import FORMATS, export
    from orakul.operations.journalled import trees

    settings = load_settings({"data": data})
    start = datetime.now(UTC) - _period(since)
    analyzer = OperationAnalyzer(whole=True)
    with open_database(settings) as database:
        parts = assemble(settings, database)
        try:
            for log in trees(_finished(parts.reader, start, kind, name, most)):
                analyzer.add(log)
        finally:
            parts.connections.close()
    if output is not None:
        try:
            export(analyzer, output)
        except ValueError as error:
            raise InvalidQueryError(str(error)) from error
        print(output)
        return
    sys.stdout.write(FORMATS[form](analyzer).rstrip("\n") + "\n")


def _period(text: str) -> timedelta:
    found = _PERIOD.fullmatch(text.strip())
    if found is None:
        raise InvalidQueryError(f"--since {text!r} is not a period: write 90m, 24h or 7d")
    return int(found[1]) * _UNITS[found[2]]


def _finished(reader: "TaskReader", start: datetime, kind: str | None, name: str | None, most: int) -> Iterator["Task"]:
    from orakul.tasks import TaskQuery

    cursor: str | None = None
    read = 0
    while read < most:
        page = reader.tasks(TaskQuery(kind=(kind,) if kind else (), name=name, cursor=cursor, limit=500))
        for task in page.items:
            if task.created_at < start:
                return
            if task.finished_at is not None:
                yield task
        read += len(page.items)
        cursor = page.next
        if cursor is None:
            return
