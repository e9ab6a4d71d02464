"""What a command's body asks for: read after it is known that whoever sent it may command."""

from typing import Annotated, TypeVar

import msgspec
from fastapi import Depends, Request

from orakul.web.auth import Commander
from orakul.web.command_views import Reason
from orakul.web.problems import FieldProblem, ProblemError

__all__ = ["Given", "given_in", "invalid_body"]

T = TypeVar("T")


def invalid_body(message: str, name: str = "") -> ProblemError:
    """Return the problem of a body that does not fit."""
    return ProblemError(
        422, "invalid-request", message, errors=[FieldProblem(place="body", name=name, message=message)]
    )


async def given_in(request: Request, form: type[T], *, required: bool = False) -> T:
    """Return the body as the form asked for; an empty one is the form's defaults where it may be."""
    body = await request.body()
    if not body.strip() and not required:
        return form()
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise invalid_body(f"The body does not fit: {error}") from error


async def _reason(request: Request, _first: Commander) -> str | None:
    said = (await given_in(request, Reason)).reason
    return said.strip() or None if said else None


Given = Annotated[str | None, Depends(_reason)]
