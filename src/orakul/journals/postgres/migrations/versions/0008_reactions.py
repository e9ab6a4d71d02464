"""Reactions: cursor, rules, what is known of them, deliveries."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0009"


def upgrade() -> None:
    """Make the tables."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_name("0008_reactions.sql").read_text("utf-8"))


def downgrade() -> None:
    """Refuse: rules would be forgotten."""
    raise NotImplementedError("the tables of an older version are not made again; restore a backup")
