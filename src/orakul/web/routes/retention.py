"""Retention: how long what is kept, and what would go."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from orakul.errors import SettingsError
from orakul.events import Event
from orakul.tasks.retention import Preview, Retention, Rules, RulesChange, days_of_kinds
from orakul.web.asked import given_in
from orakul.web.auth import Administrator, Overseer
from orakul.web.document import JsonResponse, answers, json_body
from orakul.web.given import TheParts
from orakul.web.problems import FieldProblem, ProblemError
from orakul.web.query import split

__all__ = ["router"]

router = APIRouter(tags=["admin"], default_response_class=JsonResponse)


def _retention(parts: TheParts) -> Retention:
    if parts.retention is None:
        raise ProblemError(503, "unavailable", "No retention is kept here.", headers={"Retry-After": "60"})
    return parts.retention


TheRetention = Annotated[Retention, Depends(_retention)]


async def _change(request: Request, _first: Administrator) -> RulesChange:
    return await given_in(request, RulesChange, required=True)


Change = Annotated[RulesChange, Depends(_change)]


@router.get(
    "/api/retention",
    summary="How long what is kept",
    operation_id="retention",
    responses=answers(Rules, "The rules in force.", 401, 403, 503),
)
def rules(_identity: Overseer, retention: TheRetention) -> Response:
    """Return how many days ended tasks, events and logs are kept; what is open stays, however old."""
    return JsonResponse(retention.rules())


@router.put(
    "/api/retention",
    summary="Keep other rules",
    operation_id="change_retention",
    responses=answers(Rules, "The rules in force now.", 401, 403, 422, 503),
    openapi_extra=json_body(RulesChange, required=True),
)
def change_rules(parts: TheParts, identity: Administrator, retention: TheRetention, change: Change) -> Response:
    """Keep other rules from now on; what is left out is what the settings say."""
    kept = retention.change(change, identity.user_id)
    if parts.tell is not None:
        data = {name: value for name, value in msgspec.to_builtins(change).items() if value}
        parts.tell([Event(event_type="retention.changed", user_id=identity.user_id, data=data, source="control")])
    return JsonResponse(kept)


@router.get(
    "/api/retention/preview",
    summary="What would go",
    operation_id="retention_preview",
    responses=answers(Preview, "Ended tasks by kind and day, days of events and logs.", 401, 403, 422, 503),
)
def preview(
    _identity: Overseer,
    retention: TheRetention,
    *,
    tasks_days: Annotated[int | None, Query(ge=1, le=3650, description="Were ended tasks kept so long.")] = None,
    events_days: Annotated[int | None, Query(ge=1, le=3650, description="Were events kept so long.")] = None,
    logs_days: Annotated[int | None, Query(ge=1, le=3650, description="Were log lines kept so long.")] = None,
    kinds: Annotated[list[str], Query(description="Were kinds kept so long: `KIND=DAYS`.")] = [],  # noqa: B006 (FastAPI copies)
) -> Response:
    """Return what would go now by the rules in force, or by others; nothing is changed."""
    try:
        of_kinds = days_of_kinds(tuple(split(kinds)))
    except SettingsError as error:
        said = str(error).removeprefix("retention.")
        raise ProblemError(
            422, "invalid-query", said, errors=[FieldProblem(place="query", name="kinds", message=said)]
        ) from error
    change = RulesChange(tasks_days=tasks_days, events_days=events_days, logs_days=logs_days, kinds=of_kinds)
    return JsonResponse(retention.preview(change))
