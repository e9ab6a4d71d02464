"""Saved views: questions that people keep, for themselves or for all."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any
from uuid import uuid4

import msgspec

from orakul.errors import NotPossibleError
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.tasks.room import SavedView
from orakul.tasks.storable import key_text, long_text, short_text

__all__ = ["PostgresViews"]

_MOST = 200
_COLUMNS = "view_id, name, query, columns, shared, user_id, created_at"
# The statements are made of constants alone.
_LIST = f"""
SELECT {_COLUMNS} FROM {SCHEMA}.saved_views WHERE user_id = %s OR shared
ORDER BY user_id = %s DESC, name, view_id LIMIT {2 * _MOST}
"""  # noqa: S608
_SAVE = f"""
INSERT INTO {SCHEMA}.saved_views (view_id, name, query, columns, shared, user_id)
SELECT %s, %s, %s, %s, %s, %s WHERE (SELECT count(*) FROM {SCHEMA}.saved_views WHERE user_id = %s) < {_MOST}
RETURNING {_COLUMNS}
"""  # noqa: S608
_DELETE = f"DELETE FROM {SCHEMA}.saved_views WHERE view_id = %s AND (user_id = %s OR (shared AND %s))"  # noqa: S608


class PostgresViews:
    """Keeps saved views."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    def views(self, user_id: str) -> list[SavedView]:
        """Return the views of a user, then those that others share."""
        key = key_text(user_id) or ""
        rows = self.connections.run("read", lambda connection: connection.execute(_LIST, (key, key)).fetchall())
        return [_view(row, key) for row in rows]

    def save_view(self, user_id: str, *, name: str, query: str, columns: Sequence[str], shared: bool) -> SavedView:
        """Keep a view; NotPossibleError where the user has as many as one may have."""
        key = key_text(user_id) or ""
        kept = msgspec.json.encode([short_text(column) for column in columns]).decode()
        values = (uuid4().hex, short_text(name), long_text(query, 4_000) or "", kept, shared, key, key)
        row = self.connections.run(
            "write", lambda connection: connection.execute(_SAVE, values).fetchone(), again=False
        )
        if row is None:
            raise NotPossibleError(f"you have {_MOST} views, which is as many as one may have; delete one first")
        return _view(row, key)

    def delete_view(self, user_id: str, view_id: str, *, any_shared: bool = False) -> bool:
        """Drop a view of the user's, or with `any_shared` one that is shared; say whether there was one."""
        values = (key_text(view_id), key_text(user_id), any_shared)
        return self.connections.run("write", lambda connection: connection.execute(_DELETE, values).rowcount) > 0


def _view(row: Sequence[Any], user_id: str) -> SavedView:
    return SavedView(
        view_id=row[0],
        name=row[1],
        query=row[2],
        columns=[column for column in row[3] if isinstance(column, str)],
        shared=row[4],
        user_id=row[5],
        mine=row[5] == user_id,
        created_at=row[6].astimezone(UTC),
    )
