"""The people who sign in."""

import os

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error
from sqlalchemy import text

from backend.shared.database import engine
from backend.shared.identity import Person

__all__ = ["add_first_people", "authenticate"]

_hasher = PasswordHasher()
_DECOY = _hasher.hash("nobody's password")
FIRST = "testuser:123456 inspector:123456 admin:123456:admin"
"""For a tracker that is tried out; another house sets TRACKER_USERS."""


def add_first_people() -> None:
    """Add the people named in TRACKER_USERS (`name:password`, `name:password:admin`) who are not there yet."""
    with engine.begin() as connection:
        for person in os.environ.get("TRACKER_USERS", FIRST).split():
            username, password, *role = person.split(":")
            values = {"name": username, "admin": role == ["admin"]}
            if connection.execute(text("SELECT 1 FROM users.users WHERE username = :name"), values).first():
                continue
            statement = text(
                "INSERT INTO users.users (username, password_hash, is_admin) VALUES (:name, :hash, :admin) "
                "ON CONFLICT DO NOTHING"
            )
            connection.execute(statement, {**values, "hash": _hasher.hash(password)})


def authenticate(username: str, password: str) -> Person | None:
    """Return who signs in; None where the name or the password is wrong, in the same time for both."""
    with engine.begin() as connection:
        statement = text("SELECT id, username, is_admin, password_hash FROM users.users WHERE username = :name")
        row = None if "\0" in username else connection.execute(statement, {"name": username}).first()
    try:
        _hasher.verify(row.password_hash if row else _DECOY, password)
    except Argon2Error:
        return None
    return Person(row.id, row.username, row.is_admin) if row else None
