"""Bulk: the jobs that command many tasks at once."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_name("0004_bulk.sql").read_text("utf-8"))


def downgrade() -> None:
    """Refuse: what was commanded would be forgotten."""
    raise NotImplementedError("the tables of an older version are not made again; restore a backup")
