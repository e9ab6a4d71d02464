"""Who asks, and what they may: the one place where that is decided."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Identity", "Role", "role_from"]


class Role(StrEnum):
    """What a user may. An ordinary one sees and commands their own tasks."""

    ADMIN = "admin"
    VIEWER = "viewer"
    USER = "user"


def role_from(*claims: object) -> Role:
    """Return the strongest role named by the `role` and `roles` claims, each a word or a list of words."""
    words: set[str] = set()
    for claim in claims:
        if isinstance(claim, str):
            words.update(claim.replace(",", " ").split())
        elif isinstance(claim, list | tuple):
            words.update(word for word in claim if isinstance(word, str))
    if Role.ADMIN in words:
        return Role.ADMIN
    return Role.VIEWER if Role.VIEWER in words else Role.USER


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Somebody signed in. `expires_at` is in epoch seconds, None where the token does not say."""

    user_id: str
    username: str
    role: Role
    expires_at: float | None = None
    by_cookie: bool = False

    @property
    def owner(self) -> str | None:
        """Return the bound for readers and commands: only this user's tasks exist; None for who sees all."""
        return self.user_id if self.role is Role.USER else None

    @property
    def sees_all(self) -> bool:
        """Return whether everybody's tasks are theirs to see."""
        return self.role is not Role.USER

    @property
    def may_command(self) -> bool:
        """Return whether they may retry and cancel what they see."""
        return self.role is not Role.VIEWER

    @property
    def is_admin(self) -> bool:
        """Return whether they may command the queues."""
        return self.role is Role.ADMIN
