"""On whose behalf the program acts now."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

_user: ContextVar[str | None] = ContextVar("orakul_user", default=None)


@contextmanager
def as_user(user_id: str | int | None) -> Iterator[None]:
    """Let everything published or started inside the block belong to `user_id`.

    Follows into async tasks, as context variables do; `None` takes the owner away.
    """
    token = _user.set(None if user_id is None else str(user_id))
    try:
        yield
    finally:
        _user.reset(token)


def current_user() -> str | None:
    """Return the user set by the innermost `as_user`, or None."""
    return _user.get()


def enter_user(user_id: str | None) -> Token[str | None]:
    """Set the owner until `leave_user`: `as_user` for those who are told of a beginning and an end by two calls."""
    return _user.set(user_id)


def leave_user(token: Token[str | None]) -> None:
    """Set the owner back to what it was; to nobody where that was in another context (a thread, a greenlet)."""
    try:
        _user.reset(token)
    except ValueError:
        _user.set(None)
