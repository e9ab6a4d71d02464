"""Groups of errors of one name, read from an index alone."""

from contextlib import closing

from alembic import op

revision = "0013"
down_revision = "0012"

_INDEX = """
CREATE INDEX tasks_error_name ON orakul.tasks (error_key, name, created_at, task_id COLLATE "POSIX")
WHERE error_key IS NOT NULL
"""


def upgrade() -> None:
    """Make the index: of failures alone, so that what other tasks cost does not change."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(_INDEX)


def downgrade() -> None:
    """Refuse, as the other migrations do."""
    raise NotImplementedError("the tables of an older version are not made again; restore a backup")
