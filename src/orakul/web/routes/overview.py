"""What the header and the side lists show: the summary, events, names."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from orakul.tasks import Summary
from orakul.web import views
from orakul.web.auth import Overseer, SignedIn
from orakul.web.document import JsonResponse, answers
from orakul.web.given import TheParts
from orakul.web.query import split

__all__ = ["router"]

router = APIRouter(tags=["overview"], default_response_class=JsonResponse)


@router.get(
    "/api/summary",
    summary="The header's figures",
    operation_id="summary",
    responses=answers(Summary, "The figures, of one's own tasks or of all.", 401, 503),
)
def summary(parts: TheParts, identity: SignedIn) -> Response:
    """Return what waits and runs, the failure rate and the mean duration of 24 hours, and the paused queues."""
    return JsonResponse(parts.reader.summary(owner=identity.owner))


@router.get(
    "/api/events",
    summary="The journal of events",
    operation_id="events",
    responses=answers(views.EventPage, "Events in the order of `seq`.", 401, 403, 422, 503),
)
def events(
    parts: TheParts,
    _identity: Overseer,
    type: Annotated[list[str], Query(description="Types or patterns (`task.*`): repeated, or with commas.")] = [],  # noqa: A002, B006 (the name is the contract; FastAPI copies)
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Only events with a greater `seq`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
) -> Response:
    """Return events: everything that happened, commands and their authors included."""
    page = parts.reader.events(types=split(type), after=after, limit=limit)
    return JsonResponse(views.EventPage(items=[views.event_item(each) for each in page.items], next=page.next))


@router.get(
    "/api/names",
    summary="Names of tasks",
    operation_id="names",
    responses=answers(views.NameList, "Names, for suggestions.", 401, 422, 503),
)
def names(
    parts: TheParts,
    identity: SignedIn,
    prefix: Annotated[str, Query(max_length=255, description="How they begin.")] = "",
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 20,
) -> Response:
    """Return the names of tasks that begin so, of one's own tasks or of all."""
    return JsonResponse(views.NameList(items=parts.reader.names(prefix, owner=identity.owner, limit=limit)))
