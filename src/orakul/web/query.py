"""Reading a request's query: nothing in it is passed over in silence."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from orakul.errors import InvalidQueryError, TaskNotFoundError
from orakul.tasks import Status

__all__ = ["TaskId", "plain_text", "refuse_unknown", "split", "statuses"]

_LONGEST_ID = 255


def _names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for below in dependant.dependencies:
        yield from _names(below)


def refuse_unknown(request: Request) -> None:
    """Refuse a query that has a name which the route does not know: a filter misspelt must not show everything."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = frozenset(_names(route.dependant))
    for name, value in request.query_params.multi_items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(sorted(known)) or 'none'}"
            raise InvalidQueryError(f"There is no filter `{name}` here; {hint}")
        if "\0" in value:
            raise InvalidQueryError(f"`{name}` has a NUL character in it, which nothing here can have.")


def split(values: Iterable[str]) -> list[str]:
    """Return the words of a parameter that may be repeated, written with commas, or both."""
    return [word for value in values for part in value.split(",") if (word := part.strip())]


def statuses(values: Iterable[str]) -> list[Status]:
    """Return the statuses named; refuse what is none."""
    found = []
    for word in split(values):
        try:
            found.append(Status(word))
        except ValueError as error:
            near = get_close_matches(word, list(Status), n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(Status)}"
            raise InvalidQueryError(f"There is no status `{word:.40}`; {hint}") from error
    return found


def plain_text(value: str | None) -> str | None:
    """Return a filter's value, None where it is empty, so that an emptied field of a form does not filter."""
    return value or None


def _task_id(task_id: Annotated[str, Path(description="The task's id.")]) -> str:
    if "\0" in task_id or len(task_id) > _LONGEST_ID:
        raise TaskNotFoundError("There is no task with this id.")
    return task_id


TaskId = Annotated[str, Depends(_task_id)]
