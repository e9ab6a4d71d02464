"""Running an ended task again with other arguments."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from orakul.tasks.edited import EditedRuns
from orakul.web import views
from orakul.web.asked import given_in
from orakul.web.auth import Commander
from orakul.web.command_views import Arguments, EditedRun
from orakul.web.document import JsonResponse, answers, json_body
from orakul.web.given import TheParts
from orakul.web.parts import Parts
from orakul.web.problems import ProblemError
from orakul.web.query import TaskId

__all__ = ["router"]

router = APIRouter(tags=["tasks"], default_response_class=JsonResponse)


async def _form(request: Request, _first: Commander) -> EditedRun:
    return await given_in(request, EditedRun, required=True)


Form = Annotated[EditedRun, Depends(_form)]


@router.get(
    "/api/tasks/{task_id:path}/run",
    summary="A task's arguments, for editing",
    operation_id="editable",
    responses=answers(Arguments, "The arguments in full, secrets masked.", 401, 403, 404, 409, 503),
)
def editable(parts: TheParts, identity: Commander, task_id: TaskId) -> Response:
    """Return the arguments of an ended task whose message is kept, for its owner and administrators."""
    return JsonResponse(_runs(parts).arguments(task_id, identity.owner))


@router.post(
    "/api/tasks/{task_id:path}/run",
    summary="Run a task again with other arguments",
    operation_id="run",
    responses=answers(views.CommandedTask, "The new task.", 401, 403, 404, 409, 422, 503),
    openapi_extra=json_body(EditedRun, required=True),
)
def run(parts: TheParts, identity: Commander, task_id: TaskId, form: Form) -> Response:
    """Make a new task of an ended one, with these arguments; the histories of both name the other."""
    made = _runs(parts).run(
        task_id,
        {"args": form.args, "kwargs": form.kwargs},
        author=identity.user_id,
        owner=identity.owner,
        queue=form.queue,
        reason=form.reason or None,
    )
    return JsonResponse(views.commanded_task(made, delivered=True, note=None))


def _runs(parts: Parts) -> EditedRuns:
    if parts.edited is None:
        raise ProblemError(503, "unavailable", "Nothing can be run from here.", headers={"Retry-After": "60"})
    return parts.edited
