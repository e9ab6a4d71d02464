"""Looking back and retention; and charts of everything from one row a step."""

from contextlib import closing
from importlib import import_module
from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0006"

_NAMES = "CROSS JOIN LATERAL (VALUES (f.name), (NULL)) AS n (name)"
_GROUPS = """CROSS JOIN LATERAL (VALUES (f.name, f.kind, f.queue), (NULL, f.kind, f.queue), (NULL, '', NULL))
            AS g (name, kind, queue)"""


def _fold() -> str:
    """Return the fold of version 0002, which adds up all kinds and queues together as well."""
    before: str = import_module("orakul.journals.postgres.migrations.versions.0002_the_control_room")._FOLD  # noqa: SLF001 (a version never changes)
    text = before[before.index("CREATE FUNCTION orakul.fold") :].replace("CREATE", "CREATE OR REPLACE", 1)
    return text.replace(_NAMES, _GROUPS).replace(
        "n.name, kind, queue, status,\n", "g.name, g.kind, g.queue, f.status,\n", 1
    )


def upgrade() -> None:
    """Make the tables and indexes."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_name("0005_moments.sql").read_text("utf-8"))
        cursor.execute(_fold())


def downgrade() -> None:
    """Refuse, as all versions do."""
    raise NotImplementedError("the tables of an older version are not made again; restore a backup")
