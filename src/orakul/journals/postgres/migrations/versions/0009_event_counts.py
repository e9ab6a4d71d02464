"""How domain events fare, added up; and indexes for the deliveries of an event and the dead letters."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0010"


def upgrade() -> None:
    """Make the tables."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_name("0009_event_counts.sql").read_text("utf-8"))


def downgrade() -> None:
    """Refuse, as the other migrations do."""
    raise NotImplementedError("the tables of an older version are not made again; restore a backup")
