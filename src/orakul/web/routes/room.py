"""Finding and understanding: counts, groups of errors, charts, insights, saved views, queues and workers."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from orakul.tasks.room import Chart, ControlRoom, Counts, ErrorGroups, Insights, SavedView
from orakul.web.auth import Overseer, SignedIn
from orakul.web.document import JsonResponse, answers, json_body
from orakul.web.filters import Filters, moment
from orakul.web.given import TheParts
from orakul.web.problems import FieldProblem, ProblemError
from orakul.web.query import plain_text, split
from orakul.web.room_views import QueueList, ViewForm, ViewList, WorkerList, queue_item, worker_item

__all__ = ["router"]

router = APIRouter(default_response_class=JsonResponse)

_LONGEST_DAY = 31


def _room(parts: TheParts) -> ControlRoom:
    if parts.room is None:
        raise ProblemError(503, "unavailable", "The control room is not kept here.", headers={"Retry-After": "60"})
    return parts.room


Room = Annotated[ControlRoom, Depends(_room)]


@router.get(
    "/api/tasks/counts",
    tags=["tasks"],
    summary="How many tasks of each status",
    operation_id="counts",
    responses=answers(Counts, "One count a status, up to 10,000.", 401, 422, 503),
)
def counts(_identity: SignedIn, room: Room, filters: Filters) -> Response:
    """Return how many tasks of each status the other filters leave; `status` itself is passed over."""
    return JsonResponse(room.counts(filters))


@router.get(
    "/api/errors",
    tags=["tasks"],
    summary="Failures in groups",
    operation_id="errors",
    responses=answers(ErrorGroups, "The groups, the latest first.", 401, 422, 503),
)
def errors(
    _identity: SignedIn,
    room: Room,
    filters: Filters,
    limit: Annotated[int, Query(ge=1, le=500, description="How many groups at most.")] = 100,
) -> Response:
    """Return failures that have the same exception and place as one group each; `key` is the list's filter `error`."""
    return JsonResponse(room.errors(msgspec.structs.replace(filters, limit=limit)))


@router.get(
    "/api/charts",
    tags=["overview"],
    summary="Throughput, failures, durations and waiting over time",
    operation_id="charts",
    responses=answers(Chart, "One point a step.", 401, 422, 503),
)
def charts(
    identity: SignedIn,
    room: Room,
    *,
    since: Annotated[str | None, Query(alias="from", description="The beginning; a day before the end.")] = None,
    until: Annotated[str | None, Query(alias="to", description="The end; now.")] = None,
    name: Annotated[str | None, Query(description="The name, or its beginning and `*`.")] = None,
    kind: Annotated[list[str], Query(description="Kinds: repeated, or with commas.")] = [],  # noqa: B006 (FastAPI copies)
    queue: Annotated[list[str], Query(description="Queues: repeated, or with commas.")] = [],  # noqa: B006 (as above)
) -> Response:
    """Return points from `from` to `to`, in steps that suit their distance (a minute for an hour)."""
    end = moment("to", until) or datetime.now(UTC)
    begin = moment("from", since) or max(end, datetime.min.replace(tzinfo=UTC) + timedelta(days=1)) - timedelta(days=1)
    chart = room.chart(begin, end, name=plain_text(name), queue=split(queue), kind=split(kind), owner=identity.owner)
    return JsonResponse(chart)


@router.get(
    "/api/insights",
    tags=["overview"],
    summary="What stands out",
    operation_id="insights",
    responses=answers(Insights, "Names and queues that stand out.", 401, 422, 503),
)
def insights(
    identity: SignedIn,
    room: Room,
    days: Annotated[int, Query(ge=1, le=_LONGEST_DAY, description="Of how many days, against as many before.")] = 7,
) -> Response:
    """Return the slowest, most failing and most changed names of the last days, and the queues that wait the most."""
    return JsonResponse(room.insights(days=days, owner=identity.owner))


@router.get(
    "/api/views",
    tags=["overview"],
    summary="Saved views",
    operation_id="views",
    responses=answers(ViewList, "Yours, then those that others share.", 401, 503),
)
def views(identity: SignedIn, room: Room) -> Response:
    """Return one's own views and those that are shared."""
    return JsonResponse(ViewList(items=room.views(identity.user_id)))


async def _form(request: Request, _first: SignedIn) -> ViewForm:
    try:
        form = msgspec.json.decode(await request.body(), type=ViewForm)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _invalid(f"The body does not fit: {error}") from error
    if any("\0" in text for text in (form.name, form.query, *form.columns)):
        raise _invalid("There is a NUL character in it, which nothing here can have.")
    return form


def _invalid(message: str) -> ProblemError:
    return ProblemError(422, "invalid-request", message, errors=[FieldProblem(place="body", name="", message=message)])


@router.post(
    "/api/views",
    tags=["overview"],
    summary="Save a view",
    operation_id="save_view",
    responses=answers(SavedView, "The view, as it is kept.", 401, 403, 409, 422, 503),
    openapi_extra=json_body(ViewForm, required=True),
)
def save_view(identity: SignedIn, room: Room, form: Annotated[ViewForm, Depends(_form)]) -> Response:
    """Keep a question for oneself, or for all; a viewer keeps their own only."""
    if form.shared and not identity.may_command:
        raise ProblemError(403, "forbidden", "A viewer keeps views for themselves only.")
    kept = room.save_view(identity.user_id, name=form.name, query=form.query, columns=form.columns, shared=form.shared)
    return JsonResponse(kept)


@router.delete(
    "/api/views/{view_id}",
    tags=["overview"],
    summary="Delete a view",
    operation_id="delete_view",
    status_code=204,
    responses={204: {"description": "It is gone."}, **answers(None, "", 401, 403, 404, 503)},
)
def delete_view(
    identity: SignedIn, room: Room, view_id: Annotated[str, Path(max_length=64, description="The view's id.")]
) -> Response:
    """Delete a view of one's own; an administrator, also one that is shared."""
    if not room.delete_view(identity.user_id, view_id, any_shared=identity.is_admin):
        raise ProblemError(404, "no-such-view", "There is no view of yours with this id.")
    return Response(status_code=204)


@router.get(
    "/api/queues",
    tags=["overview"],
    summary="The queues",
    operation_id="queues",
    responses=answers(QueueList, "The queues seen.", 401, 403, 503),
)
def queues(parts: TheParts, _identity: Overseer, room: Room) -> Response:
    """Return the queues: what waits and runs, since when, at which rates, which are paused, what the broker says."""
    found = parts.reader.queues()
    named = [each["queue"] for each in found]
    figures = room.queue_figures(named)
    depths = parts.depths(named) if parts.depths else {}
    return JsonResponse(QueueList(items=[queue_item(each, figures, depths) for each in found]))


@router.get(
    "/api/workers",
    tags=["overview"],
    summary="The workers",
    operation_id="workers",
    responses=answers(WorkerList, "The workers seen in the last day.", 401, 403, 503),
)
def workers(parts: TheParts, _identity: Overseer, room: Room) -> Response:
    """Return the workers as their last heartbeats described them, and what they have in hand."""
    found = parts.fleet.workers()
    running = room.running([worker.worker for worker in found])
    lease = parts.settings.lease_seconds
    items = [worker_item(each, running.get(each.worker, (0, [])), lease_seconds=lease) for each in found]
    return JsonResponse(WorkerList(items=items))
