"""Domain events: how they fare, the way of each, and their dead letters."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from orakul.delivery.room import DeadQuery, EventFigures, EventRoom, Journey, PublishedPage
from orakul.web.asked import given_in, invalid_body
from orakul.web.auth import Administrator, Overseer
from orakul.web.document import JsonResponse, answers, json_body
from orakul.web.event_views import DeadFilter, DeadPage, Replayed, ReplayForm
from orakul.web.filters import moment
from orakul.web.given import TheParts
from orakul.web.problems import ProblemError
from orakul.web.query import plain_text, split

__all__ = ["router"]

router = APIRouter(tags=["events"], default_response_class=JsonResponse)

_AT_ONCE = 10_000
_LONGEST_HOURS = 24 * 366


def _room(parts: TheParts) -> EventRoom:
    if parts.events is None:
        raise ProblemError(503, "unavailable", "Events are not kept here.", headers={"Retry-After": "60"})
    return parts.events


Events = Annotated[EventRoom, Depends(_room)]
Types = Annotated[list[str], Query(description="Types or patterns (`defect.*`): repeated, or with commas.")]
Consumers = Annotated[list[str], Query(description="Consumers: repeated, or with commas.")]


@router.get(
    "/api/events/figures",
    summary="How domain events fare",
    operation_id="eventFigures",
    responses=answers(EventFigures, "Counts by type and consumer.", 401, 403, 422, 503),
)
def figures(
    _identity: Overseer,
    events: Events,
    hours: Annotated[
        int, Query(ge=1, le=_LONGEST_HOURS, description="Of how many hours, the present one included.")
    ] = 24,
) -> Response:
    """Return what was published, delivered, failed, retried and dead, by type and consumer, and what waits."""
    return JsonResponse(events.figures(datetime.now(UTC) - timedelta(hours=hours - 1)))


@router.get(
    "/api/events/published",
    summary="Domain events, the newest first",
    operation_id="publishedEvents",
    responses=answers(PublishedPage, "Events, with where their deliveries stand.", 401, 403, 422, 503),
)
def published(
    _identity: Overseer,
    events: Events,
    *,
    type: Types = [],  # noqa: A002, B006 (the name is the contract; FastAPI copies)
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
) -> Response:
    """Return the domain events that were relayed, and how many of their deliveries stand where."""
    return JsonResponse(events.published(types=split(type), before=before, limit=limit))


@router.get(
    "/api/events/journey",
    summary="The way of one event",
    operation_id="journey",
    responses=answers(Journey, "What happened to it, in order.", 401, 403, 404, 422, 503),
)
def journey(
    _identity: Overseer,
    events: Events,
    event_id: Annotated[str, Query(min_length=1, max_length=300, description="The event's id.")],
) -> Response:
    """Return the way of an event: published, relayed, and each attempt of each consumer."""
    found = events.journey(event_id)
    if found is None:
        raise ProblemError(404, "no-such-event", "There is no event with this id in the journal.")
    return JsonResponse(found)


@router.get(
    "/api/deadletters",
    summary="Dead letters",
    operation_id="deadLetters",
    responses=answers(DeadPage, "Deliveries that failed for good, the latest first.", 401, 403, 422, 503),
)
def dead(
    _identity: Overseer,
    events: Events,
    *,
    consumer: Consumers = [],  # noqa: B006 (FastAPI copies)
    type: Types = [],  # noqa: A002, B006 (the name is the contract; FastAPI copies)
    error: Annotated[str | None, Query(description="The type of the error.")] = None,
    since: Annotated[str | None, Query(description="Died at this time or later.")] = None,
    until: Annotated[str | None, Query(description="Died before this time.")] = None,
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 50,
) -> Response:
    """Return the deliveries that have failed for good and were not replayed yet."""
    query = _query(DeadFilter(consumer=split(consumer), type=split(type), error=error, since=since, until=until), limit)
    items, following = events.dead(_with(query, cursor=plain_text(cursor)))
    return JsonResponse(DeadPage(items=items, next=following))


async def _form(request: Request, _first: Administrator) -> ReplayForm:
    return await given_in(request, ReplayForm, required=True)


@router.post(
    "/api/deadletters/replay",
    summary="Replay dead letters",
    operation_id="replayDeadLetters",
    responses=answers(Replayed, "How many go on their way again.", 401, 403, 409, 422, 503),
    openapi_extra=json_body(ReplayForm, required=True),
)
def replay(
    parts: TheParts, identity: Administrator, events: Events, form: Annotated[ReplayForm, Depends(_form)]
) -> Response:
    """Put dead letters back into their consumers' queues, by filter or by id, up to 10,000 at once."""
    if parts.replayer is None:
        raise ProblemError(
            409,
            "no-broker",
            "No broker of events is set here: set events.broker (ORAKUL_EVENTS_BROKER), as consumers do.",
        )
    if (form.filter is None) == (form.task_ids is None):
        raise invalid_body("Say either which `task_ids` to replay, or a `filter`; an empty filter is all dead letters.")
    query = _query(form.filter or DeadFilter(), _AT_ONCE)
    letters, following = events.dead(_with(query, task_ids=form.task_ids))
    done = parts.replayer.replay(letters, identity.user_id, form.reason)
    asked = len(letters) if form.task_ids is None else len(set(form.task_ids))
    answer = Replayed(replayed=len(done), gone=asked - len(done), more=following is not None, task_ids=done[:1_000])
    return JsonResponse(answer)


def _query(given: DeadFilter, limit: int) -> DeadQuery:
    return DeadQuery(
        consumer=given.consumer,
        types=given.type,
        error=plain_text(given.error),
        since=moment("since", given.since),
        until=moment("until", given.until),
        limit=limit,
    )


def _with(query: DeadQuery, **more: object) -> DeadQuery:
    return msgspec.structs.replace(query, **more)
