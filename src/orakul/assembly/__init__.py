"""Settings to parts: the only place where they are joined.

`open_database` finds the database (yours by URL, else the embedded one), `assemble` makes the parts on it, and an
`Assembly` that is started keeps the background work of the control room going: the tables up to date, the spool
shipped, lost workers noticed, standing orders repeated. None of it ends where a database is away: it goes on when it is
back.
"""

from orakul.assembly.database import Database, open_database
from orakul.assembly.joined import Assembly, assemble, open_recorder, pipelines_of, reactions_of, runners
from orakul.assembly.tracing import trace_itself

__all__ = [
    "Assembly",
    "Database",
    "assemble",
    "open_database",
    "open_recorder",
    "pipelines_of",
    "reactions_of",
    "runners",
    "trace_itself",
]
