"""`orakul export`: run an export plan, watch it, and end with a table of what came of each script."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orakul.cli.options import Data
from orakul.errors import MissingExtraError, PlanError, UnavailableError
from orakul.settings import Settings, load_settings, without_password

if TYPE_CHECKING:
    from orakul.exports.exporter import Exporter
    from orakul.exports.order import ExportOrder
    from orakul.exports.plan import Plan
    from orakul.exports.run import RunResult
    from orakul.tasks.recorder import Recorder

__all__ = ["command"]

_FAILED, _WRONG, _CANCELLED = 1, 2, 130
_SHIP_SECONDS = 5.0


def command(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.yaml", help="The plan's file.", show_default=False)],
    *,
    everything: Annotated[bool, typer.Option("--all", help="All groups that are enabled.")] = False,
    group: Annotated[str | None, typer.Option("--group", metavar="ID", help="One group.")] = None,
    script: Annotated[
        str | None, typer.Option("--script", metavar="ID", help="One script; GROUP/ID where two groups have it.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="ID,…", help="Only these columns of the script, by their ids.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="USER", help="Whose task it is in the control room, by user id.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the table at the end.")] = False,
    data: Data = None,
) -> None:
    """Export to files by a plan. Exit code: 0 all well, 1 a script failed, 2 wrong plan or options, 130 cancelled.

    Ctrl-C stops it and leaves no half file. The run is recorded where ORAKUL_DATABASE_URL is set or the data folder of
    an Orakul is there; it needs neither.
    """
    from orakul.assembly import trace_itself
    from orakul.cli.export_view import print_table, shown
    from orakul.exports.names import new_run_id
    from orakul.exports.order import ExportOrder
    from orakul.exports.plan import load_plan

    if everything == (group is not None or script is not None):
        _refuse("say what to export: --all, or --group ID, or --script ID")
    settings = load_settings({"data": data})
    run_id = new_run_id()
    order = ExportOrder(
        run_id=run_id,
        task_id=run_id,
        plan=str(plan.absolute()),
        group=group,
        script=script,
        columns=_ids(columns),
        user_id=owner,
    )
    try:
        loaded = load_plan(plan)
        order.choice(loaded)
    except PlanError as error:
        _refuse(str(error))
    trace_itself(settings)
    with _recording(settings) as recorder:
        result = shown(
            lambda observers, cancelled: _export(
                settings, recorder, order, loaded, observers=observers, cancelled=cancelled
            ),
            order.choice(loaded),
            quiet=quiet,
        )
    print_table(result, loaded)
    _tell_where(settings, recorder, run_id)
    raise typer.Exit({"Cancelled": _CANCELLED, "Failed": _FAILED}.get(result.outcome, 0))


def _refuse(text: str) -> Any:
    print(*(f"orakul: {line}" for line in text.splitlines()), sep="\n", file=sys.stderr)
    raise typer.Exit(_WRONG)


def _ids(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(each) for each in text.split(",") if each.strip())
    except ValueError:
        _refuse(f"--columns {text!r}: write the ids of columns with commas, such as 1,3,4")
        return None


def _export(
    settings: Settings,
    recorder: "Recorder | None",
    order: "ExportOrder",
    plan: "Plan",
    *,
    observers: list[Any],
    cancelled: threading.Event,
) -> "RunResult":
    """Run it in a thread of its own, while this one waits for it and for signals."""
    from orakul.exports.exporter import Exporter

    exporter = Exporter(
        settings.exports,
        settings.data,
        recorder.record if recorder is not None else None,
        observers=observers,
        sealer=_sealer(settings) if recorder is not None else None,
        orders=(lambda: _orders(settings)) if settings.database_url is not None else None,
    )
    ended: list[RunResult] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            ended.append(exporter.run(order, plan, cancelled))
        except BaseException as error:  # noqa: BLE001 (raised again below)
            failed.append(error)

    working = threading.Thread(target=work, name="orakul-export")
    with _cancelling(cancelled):
        working.start()
        if recorder is not None and settings.database_url is not None:
            threading.Thread(target=_take_over, args=(settings, exporter, recorder, order), daemon=True).start()
        while working.is_alive():
            working.join(0.1)
    exporter.close()
    if failed:
        raise failed[0]
    return ended[0]


@contextmanager
def _cancelling(cancelled: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM cancel, inside the block."""

    def cancel(_number: int, _frame: Any) -> None:
        if not cancelled.is_set():
            print("\nCancelling …", file=sys.stderr)
        cancelled.set()

    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _recording(settings: Settings) -> "Iterator[Recorder | None]":
    """Give a recorder where there is an Orakul to record for: a database, or the data folder of one."""
    if settings.database_url is None and not settings.data.is_dir():
        yield None
        return
    from orakul.assembly import open_recorder

    recorder = open_recorder(settings)
    try:
        yield recorder
    finally:
        recorder.close(_SHIP_SECONDS)


def _sealer(settings: Settings) -> Any:
    from orakul.tasks.sealing import Sealer, secret_in

    try:
        return Sealer(settings.secret_key or secret_in(settings.data))
    except (MissingExtraError, OSError):
        return None  # then it cannot be run again from the page, and says so there


def _orders(settings: Settings) -> Any:
    from orakul.extensions import load

    return load("orakul.orders", "postgres")(settings.database_url)


def _take_over(settings: Settings, exporter: "Exporter", recorder: "Recorder", order: "ExportOrder") -> None:
    """Give up what an exporter of our name left that was killed: at once, rather than when its lease is over."""
    from orakul.exports.presence import take_over
    from orakul.journals.postgres import Connections, PostgresReader

    name = exporter.name
    if name is None or settings.database_url is None:
        return
    try:
        with Connections(settings.database_url, size=1) as connections:
            take_over(name, PostgresReader(connections), recorder.record, lambda task: task.startswith(order.run_id))
    except UnavailableError:
        return  # the server's leases see to it


def _tell_where(settings: Settings, recorder: "Recorder | None", run_id: str) -> None:
    """Say where the run can be seen, or why it cannot."""
    if recorder is None:
        says = "Not recorded: no ORAKUL_DATABASE_URL is set, and there is no Orakul's data folder here."
    elif recorder.stats().queued_events == 0:
        shown = without_password(settings.database_url) if settings.database_url else f"the Orakul of {settings.data}"
        says = f"Recorded as task {run_id} in {shown}."
    else:
        says = f"Spooled as task {run_id} in {settings.spool}: `orakul serve` with this data folder brings it in."
    print(says, file=sys.stderr)
