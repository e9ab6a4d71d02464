"""The filters of tasks, the same for the list, its counts and the groups of errors."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query

from orakul.errors import InvalidQueryError
from orakul.tasks import TaskQuery
from orakul.web.auth import SignedIn
from orakul.web.query import plain_text, split, statuses

__all__ = ["Filters", "moment"]

_TEXT = "Words, or their beginnings, that are all in the arguments or the error. Found some seconds after they came."


def moment(name: str, value: str | None) -> datetime | None:
    """Return a time of the query; one without an offset reads as UTC."""
    if not value:
        return None
    try:
        # A `+` that nobody encoded arrives as a space.
        found = datetime.fromisoformat(value.strip().replace(" +", "+").replace(" ", "+", value.count(":") > 1))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidQueryError(f"`{name}` is no time like 2026-03-01T12:00:00Z: {value[:40]!r}") from error


def _filters(
    identity: SignedIn,
    *,
    status: Annotated[list[str], Query(description="Statuses: repeated, or with commas.")] = [],  # noqa: B006 (FastAPI copies)
    name: Annotated[str | None, Query(description="The name, or its beginning and `*`.")] = None,
    user: Annotated[str | None, Query(description="The owner's id, or its beginning and `*`.")] = None,
    kind: Annotated[list[str], Query(description="Kinds: repeated, or with commas.")] = [],  # noqa: B006 (as above)
    queue: Annotated[list[str], Query(description="Queues: repeated, or with commas.")] = [],  # noqa: B006 (as above)
    worker: Annotated[list[str], Query(description="Workers: repeated, or with commas.")] = [],  # noqa: B006 (as above)
    since: Annotated[str | None, Query(description="Created at this time or later.")] = None,
    until: Annotated[str | None, Query(description="Created before this time.")] = None,
    error: Annotated[str | None, Query(description="The `key` of a group of errors.")] = None,
    search: Annotated[str | None, Query(description="A task's id, or its beginning.")] = None,
    text: Annotated[str | None, Query(max_length=500, description=_TEXT)] = None,
) -> TaskQuery:
    return TaskQuery(
        status=statuses(status),
        name=plain_text(name),
        user=plain_text(user),
        kind=split(kind),
        queue=split(queue),
        worker=split(worker),
        since=moment("since", since),
        until=moment("until", until),
        error=plain_text(error),
        search=plain_text(search),
        text=plain_text(text),
        owner=identity.owner,
    )


Filters = Annotated[TaskQuery, Depends(_filters)]
