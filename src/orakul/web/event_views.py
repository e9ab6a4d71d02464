"""What the routes of domain events answer and ask for."""

from typing import Annotated

import msgspec

from orakul.delivery.room import DeadTask

__all__ = ["DeadFilter", "DeadPage", "ReplayForm", "Replayed"]


class DeadPage(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters, the latest first; `next` is the `cursor` of the following page."""

    items: list[DeadTask]
    next: str | None


class DeadFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters, by the list's filters; an empty one is all of them."""

    consumer: list[str] = []
    type: list[str] = []
    error: str | None = None
    since: str | None = None
    until: str | None = None


class ReplayForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters to replay, by filter or by the ids of their tasks, and why."""

    filter: DeadFilter | None = None
    task_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1_000)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay. `more`: there are more that fit; say it again for those."""

    replayed: int
    gone: int
    more: bool
    task_ids: list[str]
