"""The list of tasks, and one task: itself, its history, log and subtree, and the commands to it."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from orakul.tasks import Task
from orakul.tasks.control import TaskCommand, Why
from orakul.web import views
from orakul.web.asked import Given
from orakul.web.auth import Commander, SignedIn
from orakul.web.bounds import bounded, bounded_text
from orakul.web.command_views import Reason
from orakul.web.document import JsonResponse, answers, json_body
from orakul.web.filters import Filters
from orakul.web.given import TheParts
from orakul.web.identity import Identity
from orakul.web.parts import Parts
from orakul.web.query import TaskId, plain_text

__all__ = ["router"]

router = APIRouter(tags=["tasks"], default_response_class=JsonResponse)

_SORT = (
    "One of `task_id`, `name`, `status`, `user_id`, `kind`, `queue`, `created_at`, `started_at`, `finished_at`; "
    "`-` in front for descending."
)


@router.get(
    "/api/tasks",
    summary="A page of tasks",
    operation_id="tasks",
    responses=answers(views.TaskPage, "The page, and the next one's cursor.", 401, 422, 503),
)
def tasks(
    parts: TheParts,
    _identity: SignedIn,
    filters: Filters,
    sort: Annotated[str, Query(description=_SORT)] = "-created_at",
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 50,
) -> Response:
    """Return a page of tasks: an ordinary user's own, everybody's for administrators and viewers."""
    query = msgspec.structs.replace(filters, sort=sort, cursor=plain_text(cursor), limit=limit)
    page = parts.reader.tasks(query)
    items = [views.task_item(task) for task in page.items]
    return JsonResponse(views.TaskPage(items=items, next=page.next, partial=page.partial))


@router.get(
    "/api/tasks/{task_id:path}/history",
    summary="A task's changes of state",
    operation_id="history",
    responses=answers(views.ChangePage, "The changes, oldest first.", 401, 404, 503),
)
def history(parts: TheParts, identity: SignedIn, task_id: TaskId) -> Response:
    """Return the changes of state with their durations, and the commands with their authors."""
    page = parts.reader.history(task_id, owner=identity.owner)
    return JsonResponse(views.ChangePage(items=page.items, next=page.next))


@router.get(
    "/api/tasks/{task_id:path}/logs",
    summary="A task's log",
    operation_id="logs",
    responses=answers(views.LogPage, "The lines, oldest first.", 401, 404, 422, 503),
)
def logs(
    parts: TheParts,
    identity: SignedIn,
    task_id: TaskId,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Only lines with a greater `seq`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=5000, description="How many at most.")] = 1000,
) -> Response:
    """Return log lines of the task."""
    page = parts.reader.logs(task_id, owner=identity.owner, after=after, limit=limit)
    return JsonResponse(views.LogPage(items=page.items, next=page.next))


@router.get(
    "/api/tasks/{task_id:path}/children",
    summary="A task's subtree",
    operation_id="children",
    responses=answers(views.TaskTree, "The tasks below it.", 401, 404, 503),
)
def children(parts: TheParts, identity: SignedIn, task_id: TaskId) -> Response:
    """Return the tasks that came of this one, parents before children."""
    page = parts.reader.children(task_id, owner=identity.owner)
    return JsonResponse(views.TaskTree(items=[views.task_item(each) for each in page.items], next=page.next))


# Ids may have slashes in them, so this comes after the more special addresses.
@router.get(
    "/api/tasks/{task_id:path}",
    summary="One task",
    operation_id="task",
    responses=answers(views.TaskDetail, "The task, whole.", 401, 404, 503),
)
def task(parts: TheParts, identity: SignedIn, task_id: TaskId) -> Response:
    """Return one task with its arguments, result, error, and what may be done to it."""
    return JsonResponse(_detail(parts, parts.reader.task(task_id, owner=identity.owner), identity))


@router.post(
    "/api/tasks/{task_id:path}/retry",
    summary="Run a failed task again",
    operation_id="retry",
    responses=answers(views.CommandedTask, "The task, waiting again.", 401, 403, 404, 409, 422, 503),
    openapi_extra=json_body(Reason, required=False),
)
def retry(parts: TheParts, identity: Commander, task_id: TaskId, reason: Given) -> Response:
    """Run a `failed` task again, with its original parameters, as its next attempt."""
    return _commanded(parts.control.retry(task_id, identity.user_id, identity.owner, reason))


@router.delete(
    "/api/tasks/{task_id:path}",
    summary="Cancel a task",
    operation_id="cancel",
    responses=answers(views.CommandedTask, "The task after the command.", 401, 403, 404, 409, 422, 503),
    openapi_extra=json_body(Reason, required=False),
)
def cancel(parts: TheParts, identity: Commander, task_id: TaskId, reason: Given) -> Response:
    """Cancel a `pending` task, or ask one `in_progress` to stop; its status changes when it has stopped."""
    grace = parts.settings.grace_seconds
    return _commanded(parts.control.cancel(task_id, identity.user_id, identity.owner, grace, reason))


def _commanded(command: TaskCommand) -> Response:
    return JsonResponse(views.commanded_task(command.task, delivered=command.delivered, note=command.note))


def _detail(parts: Parts, found: Task, identity: Identity) -> views.TaskDetail:
    trace_url = None
    if found.trace_id and parts.settings.trace_url:
        trace_url = parts.settings.trace_url.replace("{trace_id}", found.trace_id)
    shown = views.task_detail(found, trace_url=trace_url, can=_abilities(parts, found, identity))
    return views.with_payload(
        shown,
        arguments=bounded(found.arguments),
        result=bounded(found.result),
        traceback=bounded_text(found.error.traceback if found.error else None),
    )


def _abilities(parts: Parts, found: Task, identity: Identity) -> views.AbilitySet:
    if not identity.may_command:
        refused = views.Ability(allowed=False, why="a viewer sees everything and commands nothing", code="viewer")
        return views.AbilitySet(retry=refused, cancel=refused)
    control = parts.control
    return views.AbilitySet(
        retry=_ability(control.why_not_retry(found)), cancel=_ability(control.why_not_cancel(found))
    )


def _ability(why: Why | None) -> views.Ability:
    return views.Ability(allowed=True) if why is None else views.Ability(allowed=False, why=str(why), code=why.code)
