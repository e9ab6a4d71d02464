"""The outbox of domain events, what of it could not be relayed, and the consumers' inbox."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_name("0006_outbox.sql").read_text("utf-8"))


def downgrade() -> None:
    """Refuse: events that wait would be lost."""
    raise NotImplementedError("the tables of an older version are not made again; restore a backup")
