"""The journal: its tables, its one door in, its upkeep."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

_PARTS = ("tables", "append", "others", "maintain")


def upgrade() -> None:
    """Make everything."""
    # The driver's own cursor: several statements in one text, and no parameters to look for in it.
    with closing(op.get_bind().connection.cursor()) as cursor:
        for part in _PARTS:
            cursor.execute(Path(__file__).with_name(f"0001_{part}.sql").read_text("utf-8"))


def downgrade() -> None:
    """Refuse: there is nothing before the journal."""
    raise NotImplementedError("there is no version before the first; drop the schema orakul to begin anew")
