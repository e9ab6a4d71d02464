"""Looking back: the room as it was at a moment, and what happened between two."""

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from orakul.errors import InvalidQueryError
from orakul.tasks.moments import MomentRange, Moments, Turns
from orakul.web.auth import SignedIn
from orakul.web.document import JsonResponse, answers
from orakul.web.filters import Filters, moment
from orakul.web.given import TheParts
from orakul.web.moment_views import MomentPage, moment_page
from orakul.web.problems import ProblemError
from orakul.web.query import plain_text

__all__ = ["router"]

router = APIRouter(tags=["overview"], default_response_class=JsonResponse)

_SORT = "One of `created_at`, `name`, `kind`, `task_id`; `-` in front for descending."


def _moments(parts: TheParts) -> Moments:
    if parts.moments is None:
        raise ProblemError(503, "unavailable", "No looking back is kept here.", headers={"Retry-After": "60"})
    return parts.moments


TheMoments = Annotated[Moments, Depends(_moments)]


def _given(name: str, value: str | None) -> datetime:
    found = moment(name, value)
    if found is None:
        raise InvalidQueryError(f"`{name}` is needed: a time like 2026-03-01T12:00:00Z")
    return found


@router.get(
    "/api/moment",
    summary="The room as it was",
    operation_id="moment",
    responses=answers(MomentPage, "Counts, queues and tasks as they were.", 401, 422, 503),
)
def room_at(
    _identity: SignedIn,
    moments: TheMoments,
    filters: Filters,
    *,
    at: Annotated[str, Query(description="When.")],
    sort: Annotated[str, Query(description=_SORT)] = "-created_at",
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 50,
) -> Response:
    """Return the room at a moment, from the events until then; `status` is the status then."""
    query = msgspec.structs.replace(filters, sort=sort, cursor=plain_text(cursor), limit=limit)
    return JsonResponse(moment_page(moments.moment(_given("at", at), query)))


@router.get(
    "/api/moment/range",
    summary="The moments there are",
    operation_id="moment_range",
    responses=answers(MomentRange, "The oldest and the newest.", 401, 503),
)
def moment_range(identity: SignedIn, moments: TheMoments) -> Response:
    """Return the oldest and the newest moment that can be asked for."""
    return JsonResponse(moments.range(owner=identity.owner))


@router.get(
    "/api/moment/changes",
    summary="What happened between two moments",
    operation_id="moment_changes",
    responses=answers(Turns, "Changes in the order of time.", 401, 422, 503),
)
def changes(
    _identity: SignedIn,
    moments: TheMoments,
    filters: Filters,
    *,
    since: Annotated[str, Query(alias="from", description="After this time.")],
    until: Annotated[str, Query(alias="to", description="Until this time, included.")],
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 500,
) -> Response:
    """Return what happened between two moments; played onto the first, it gives the second."""
    if filters.status:
        raise InvalidQueryError("`status` filters no changes: they are from one status to another")
    query = msgspec.structs.replace(filters, cursor=plain_text(cursor), limit=limit)
    return JsonResponse(moments.turns(_given("from", since), _given("to", until), query))
