"""Pipelines: the runs of a result are found by its name."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0008"


def upgrade() -> None:
    """Make the index."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_name("0011_pipelines.sql").read_text("utf-8"))


def downgrade() -> None:
    """Refuse, as the other migrations do."""
    raise NotImplementedError("the tables of an older version are not made again; restore a backup")
