"""Commands: indexes for the audit."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the indexes."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_name("0003_commands.sql").read_text("utf-8"))


def downgrade() -> None:
    """Refuse, as all versions do."""
    raise NotImplementedError("the tables of an older version are not made again; restore a backup")
