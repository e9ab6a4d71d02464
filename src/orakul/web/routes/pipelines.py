"""Pipelines: the last word on each, for the page, for health checks and for dashboards."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from orakul.pipelines.room import PipelineList, PipelineRoom, PipelineState
from orakul.web.auth import SignedIn
from orakul.web.document import JsonResponse, answers
from orakul.web.given import TheParts
from orakul.web.problems import ProblemError

__all__ = ["router"]

router = APIRouter(tags=["overview"], default_response_class=JsonResponse)


def _room(parts: TheParts) -> PipelineRoom:
    if parts.pipelines is None:
        raise ProblemError(503, "unavailable", "No pipelines are kept here.", headers={"Retry-After": "60"})
    return parts.pipelines


TheRoom = Annotated[PipelineRoom, Depends(_room)]


@router.get(
    "/api/pipelines",
    summary="Pipelines, with the last runs of each",
    operation_id="pipelines",
    responses=answers(PipelineList, "The pipelines.", 401, 422, 503),
)
def pipelines(
    identity: SignedIn,
    room: TheRoom,
    *,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 500,
) -> Response:
    """Return each result with its last run, how fresh that is, and the runs before; a user's, of what is theirs."""
    found = room.states(owner=identity.owner, limit=limit + 1)
    return JsonResponse(PipelineList(items=found[:limit], partial=len(found) > limit))


@router.get(
    "/api/pipelines/{result_name:path}",
    summary="One pipeline's last word",
    operation_id="pipeline",
    responses=answers(PipelineState, "The pipeline.", 401, 404, 422, 503),
)
def pipeline(
    result_name: Annotated[str, Path(description="The name of the result: `MASK_V001`.")],
    identity: SignedIn,
    room: TheRoom,
    *,
    runs: Annotated[int, Query(ge=1, le=500, description="How many of the last runs.")] = 100,
) -> Response:
    """Return the last word on a result (`status`, rows, times, `late_seconds`) and its last runs, newest first."""
    found = room.state(result_name, owner=identity.owner, runs=runs)
    if found is None:
        raise ProblemError(404, "no-such-pipeline", f"No run of a pipeline with the result {result_name} is known.")
    return JsonResponse(found)
