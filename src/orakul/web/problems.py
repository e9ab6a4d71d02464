"""Errors as RFC 9457 problem details: one form for everything that goes wrong."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orakul.errors import (
    BrokerUnavailableError,
    InvalidEventError,
    InvalidQueryError,
    JournalUnavailableError,
    NotPossibleError,
    OrakulError,
    TaskNotFoundError,
    UnavailableError,
    WrongStateError,
)

__all__ = ["MEDIA_TYPE", "FieldProblem", "LastResort", "Problem", "ProblemError", "problem_of", "problem_response"]

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field of a request."""

    place: str
    name: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457). `detail` says what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
    since: str | None = None
    checks: dict[str, str] = {}


class ProblemError(Exception):
    """A request that is answered with a problem."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldProblem] = (),
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(
            type=f"urn:orakul:problem:{kind}",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail,
            errors=list(errors),
        )
        self.headers = dict(headers or {})


_FAMILY: tuple[tuple[type[OrakulError], int, str], ...] = (
    (InvalidQueryError, 422, "invalid-query"),
    (InvalidEventError, 422, "invalid-event"),
    (TaskNotFoundError, 404, "task-not-found"),
    (WrongStateError, 409, "wrong-state"),
    (NotPossibleError, 409, "not-possible"),
    (JournalUnavailableError, 503, "journal-unavailable"),
    (BrokerUnavailableError, 503, "broker-unavailable"),
    (UnavailableError, 503, "unavailable"),
)

_PLAIN: dict[int, tuple[str, str]] = {
    400: ("bad-request", "The request could not be read."),
    404: ("no-such-page", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not take that method; see the Allow header."),
    413: ("too-large", "The request's body is larger than anything that is taken here."),
}


def problem_of(error: Exception) -> ProblemError:
    """Return the problem that an error is answered with; an unknown one says nothing of the inside."""
    if isinstance(error, ProblemError):
        return error
    for family, status, kind in _FAMILY:
        if isinstance(error, family):
            headers = {"Retry-After": "2"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
            return ProblemError(status, kind, str(error) or family.__doc__ or kind, headers=headers)
    if isinstance(error, HTTPException):
        kind, detail = _PLAIN.get(error.status_code, ("http", str(error.detail)))
        return ProblemError(error.status_code, kind, detail, headers=error.headers)
    return ProblemError(
        500, "internal", "Something went wrong inside Orakul; its log says what. Trying again may help."
    )


def problem_response(error: Exception) -> Response:
    """Return the answer for an error."""
    found = problem_of(error)
    body = msgspec.json.encode(found.problem)
    return Response(body, found.problem.status, media_type=MEDIA_TYPE, headers=found.headers)


async def on_error(request: Request, error: Exception) -> Response:
    """Answer an error that was raised on the way to, or in, a route."""
    response = problem_response(error)
    if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return response


class LastResort:
    """Answers what nobody else has caught with a problem that says nothing of the inside, and logs it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer for it where it fails before its answer has begun."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or begun:
                raise
            response = await on_error(Request(scope), error)
            await response(scope, receive, send)


async def on_invalid(_request: Request, error: Any) -> Response:
    """Answer a request that did not fit its route: each field in a sentence."""
    fields = [_sentence(entry) for entry in error.errors()]
    detail = "; ".join(field.message for field in fields) or "The request does not fit."
    return problem_response(ProblemError(422, "invalid-request", detail, errors=fields))


def _sentence(entry: Mapping[str, Any]) -> FieldProblem:
    location = [str(part) for part in entry.get("loc", ())]
    place, name = (location[0], ".".join(location[1:])) if location else ("request", "")
    said = str(entry.get("msg", "does not fit"))
    given = entry.get("input")
    # What was in a body may have been a password.
    shown = f", not {given!r:.60}" if place != "body" and isinstance(given, str | int | float) else ""
    subject = f"`{name}` in the {place}" if name else f"The {place}"
    return FieldProblem(place=place, name=name, message=f"{subject}: {said[:1].lower()}{said[1:]}{shown}")
