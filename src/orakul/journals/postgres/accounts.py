"""Orakul's own users, for a house that has no authentication of its own."""

from datetime import datetime
from uuid import uuid4

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from psycopg import errors

from orakul.errors import NotPossibleError
from orakul.journals.postgres.connection import SCHEMA, Connections

__all__ = ["ROLES", "Account", "PostgresAccounts"]

ROLES = ("admin", "viewer", "user")

_COLUMNS = "user_id, username, role, created_at"
# The statements are made of constants alone.
_CREATE = f"""
INSERT INTO {SCHEMA}.users (user_id, username, password_hash, role) VALUES (%s, %s, %s, %s) RETURNING {_COLUMNS}
"""  # noqa: S608
_FIND = f"SELECT {_COLUMNS}, password_hash FROM {SCHEMA}.users WHERE username = %s"  # noqa: S608
_LIST = f"SELECT {_COLUMNS} FROM {SCHEMA}.users ORDER BY username"  # noqa: S608
_CHANGE = f"UPDATE {SCHEMA}.users SET password_hash = %s, changed_at = now() WHERE username = %s"  # noqa: S608
_REMOVE = f"DELETE FROM {SCHEMA}.users WHERE username = %s"  # noqa: S608


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user who signs in with a password. `user_id` is what tasks name their owner by."""

    user_id: str
    username: str
    role: str
    created_at: datetime


class PostgresAccounts:
    """Users with passwords (argon2id). A wrong name takes as long to refuse as a wrong password."""

    def __init__(self, connections: Connections | str, *, hasher: PasswordHasher | None = None) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections
        self._hasher = hasher or PasswordHasher()
        self._nobody: str | None = None

    def add(self, username: str, password: str, *, role: str = "user", user_id: str | None = None) -> Account:
        """Add a user; raise NotPossibleError where the name or the id is taken, or the role is not known."""
        if role not in ROLES:
            raise NotPossibleError(f"there is no role {role!r}; roles are {', '.join(ROLES)}")
        if not username or not password:
            raise NotPossibleError("a user needs a name and a password")
        values = (user_id or str(uuid4()), username, self._hasher.hash(password), role)
        try:
            row = self.connections.run("write", lambda connection: connection.execute(_CREATE, values).fetchone())
        except errors.UniqueViolation as error:
            raise NotPossibleError(f"there is already a user {username!r}, or one with the same id") from error
        assert row is not None  # noqa: S101 (RETURNING returns)
        return Account(user_id=row[0], username=row[1], role=row[2], created_at=row[3])

    def authenticate(self, username: str, password: str) -> Account | None:
        """Return the user where the password is theirs, else None."""
        row = None
        if "\x00" not in username:
            row = self.connections.run("read", lambda connection: connection.execute(_FIND, (username,)).fetchone())
        try:
            self._hasher.verify(row[4] if row else self._decoy(), password)
        except (Argon2Error, InvalidHashError):
            return None
        if row is None:
            return None
        if self._hasher.check_needs_rehash(row[4]):
            self.set_password(username, password)
        return Account(user_id=row[0], username=row[1], role=row[2], created_at=row[3])

    def find(self, username: str) -> Account | None:
        """Return the user of that name, or None."""
        row = self.connections.run("read", lambda connection: connection.execute(_FIND, (username,)).fetchone())
        return Account(user_id=row[0], username=row[1], role=row[2], created_at=row[3]) if row else None

    def list(self) -> list[Account]:
        """Return all users by name."""
        rows = self.connections.run("read", lambda connection: connection.execute(_LIST).fetchall())
        return [Account(user_id=row[0], username=row[1], role=row[2], created_at=row[3]) for row in rows]

    def set_password(self, username: str, password: str) -> bool:
        """Give the user a new password; return whether there is such a user."""
        values = (self._hasher.hash(password), username)
        return self.connections.run("write", lambda connection: connection.execute(_CHANGE, values).rowcount) > 0

    def remove(self, username: str) -> bool:
        """Take the user away; return whether there was one."""
        return self.connections.run("write", lambda connection: connection.execute(_REMOVE, (username,)).rowcount) > 0

    def _decoy(self) -> str:
        if self._nobody is None:
            self._nobody = self._hasher.hash(uuid4().hex)
        return self._nobody
