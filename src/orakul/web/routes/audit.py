"""The audit: who commanded what, when, why, and what came of it."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from orakul.web.auth import Overseer
from orakul.web.command_views import AuditPage
from orakul.web.document import JsonResponse, answers
from orakul.web.given import TheParts
from orakul.web.problems import ProblemError
from orakul.web.query import plain_text, split

__all__ = ["router"]

router = APIRouter(tags=["admin"], default_response_class=JsonResponse)


@router.get(
    "/api/audit",
    summary="Every command",
    operation_id="audit",
    responses=answers(AuditPage, "Commands, the newest first.", 401, 403, 422, 503),
)
def audit(
    parts: TheParts,
    _identity: Overseer,
    *,
    author: Annotated[str | None, Query(description="Who commanded: a user's id.")] = None,
    type: Annotated[list[str], Query(description="Types of events that are commands: repeated, or with commas.")] = [],  # noqa: A002, B006 (the name is the contract; FastAPI copies)
    task_id: Annotated[str | None, Query(description="Only commands to this task.")] = None,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="`next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 100,
) -> Response:
    """Return who commanded what, when and why, and what came of it."""
    if parts.audit is None:
        raise ProblemError(503, "unavailable", "The audit is not kept here.", headers={"Retry-After": "60"})
    page = parts.audit.entries(
        author=plain_text(author), types=split(type), task_id=plain_text(task_id), after=after, limit=limit
    )
    return JsonResponse(AuditPage(items=page.items, next=page.next))
