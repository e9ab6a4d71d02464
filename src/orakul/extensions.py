"""The only reader of entry points.

Whatever joins Orakul from outside, or is a product of ours, is named in an entry-point group:

| group | what it names |
| --- | --- |
| `orakul.journals` | a function `(url) -> Journal`, by the kind of database |
| `orakul.orders` | a function `(url) -> StandingOrders`, likewise |
| `orakul.runners` | a function `(settings, sealer, fleet) -> Runner or None` (not set up), by its kind of task |
| `orakul.brokers` | a class that fulfils `delivery.broker.Broker`, made of its address, by the address's scheme |
| `orakul.inboxes` | a function `(url or engine) -> Inbox`, by the library of the connection that handlers get |
| `orakul.outboxes` | a function `(connection, row)` that inserts into the outbox, by the connection's library |
| `orakul.sources` | a class that fulfils `exports.source.Source`, by the scheme of its URLs |
| `orakul.outbox_stores` | a function `(url) -> OutboxStore`, what the relay reads, by the kind of database |
| `orakul.publishers` | a function `(url, row)` that inserts into the outbox by itself, likewise |
| `orakul.recorders` | a function `() -> Recorder`, for those below the floor where it is joined |
| `orakul.notifiers` | a class that fulfils `reactions.notifier.Notifier`, by its kind |
| `orakul.messengers` | a function `(name) -> (subject, text) sender, or None`: a notifier for those below its floor |
| `orakul.formatters` | a class that fulfils `operations.formatter.OutputFormatter` |
| `orakul.error_handlers` | a class that fulfils `operations.handlers.ErrorHandler` |
| `orakul.export_carriers` | a function `(settings, fleet) -> Carrier or None`: what brings exports to a fleet |
| `orakul.result_logs` | a function `(plan) -> observer`, by the type of a plan's `result_log` |
| `orakul.channels` | a function `(url) -> pipelines.Channel`, by the scheme of its address |
| `orakul.exporters` | a function `(host, port)` that serves what the instruments tell and returns what stops it |
| `orakul.observers` | an observer, or a function without arguments that makes one |
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from orakul.errors import MissingExtraError, OrakulError

__all__ = ["load", "load_all", "names"]


def names(group: str) -> list[str]:
    """Return the names that installed packages give in the group, sorted, without importing anything."""
    return sorted({entry.name for entry in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """Import and return what `name` stands for in the group.

    Raises OrakulError where nobody gives the name, MissingExtraError where the library that it needs is not installed.
    """
    for entry in entry_points(group=group):
        if entry.name == name:
            return _import(entry)
    raise OrakulError(
        f"nothing called {name!r} is installed in {group!r}; there is: {', '.join(names(group)) or 'nothing'}"
    )


def load_all(group: str, *, missing_ok: bool = True) -> dict[str, Any]:
    """Import everything in the group, by name; what lacks its library is left out, unless `missing_ok` is false."""
    found: dict[str, Any] = {}
    for name in names(group):
        try:
            found[name] = load(group, name)
        except MissingExtraError:
            if not missing_ok:
                raise
    return found


def _import(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        # A missing module of our own would be our bug, not a missing extra.
        if (error.name or "").partition(".")[0] == "orakul":
            raise
        raise MissingExtraError(error.name or "a library", entry.name) from error
