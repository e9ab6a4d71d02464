"""Exports: the plans, starting them, their runs, and the files that they left."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import FileResponse, Response

from orakul.errors import PlanError
from orakul.exports.desk import ExportDesk, files_of
from orakul.exports.names import EXPORT
from orakul.tasks import TaskQuery
from orakul.web import views
from orakul.web.asked import given_in
from orakul.web.auth import Commander, SignedIn
from orakul.web.document import JsonResponse, answers, json_body
from orakul.web.export_views import ExportFile, ExportForm, FileList, PlanList
from orakul.web.given import TheParts
from orakul.web.identity import Identity
from orakul.web.parts import Parts
from orakul.web.problems import ProblemError
from orakul.web.query import TaskId, plain_text, statuses

__all__ = ["router"]

router = APIRouter(tags=["exports"], default_response_class=JsonResponse)


async def _form(request: Request, _first: Commander) -> ExportForm:
    return await given_in(request, ExportForm, required=True)


Form = Annotated[ExportForm, Depends(_form)]


@router.get(
    "/api/exports",
    summary="Runs of exports",
    operation_id="exports",
    responses=answers(views.TaskPage, "Runs, the newest first.", 401, 422, 503),
)
def runs(
    parts: TheParts,
    identity: SignedIn,
    status: Annotated[list[str], Query(description="Statuses: repeated, or with commas.")] = [],  # noqa: B006 (FastAPI copies)
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 50,
) -> Response:
    """Return runs: an ordinary user's own, everybody's for administrators and viewers. Each is a task as well."""
    query = TaskQuery(
        kind=(EXPORT,), status=statuses(status), cursor=plain_text(cursor), limit=limit, owner=identity.owner
    )
    page = parts.reader.tasks(query)
    items = [views.task_item(task) for task in page.items]
    return JsonResponse(views.TaskPage(items=items, next=page.next, partial=page.partial))


@router.post(
    "/api/exports",
    summary="Start an export",
    operation_id="start_export",
    responses=answers(views.TaskItem, "The run's task, waiting.", 401, 403, 422, 503),
    openapi_extra=json_body(ExportForm, required=True),
)
def start(parts: TheParts, identity: Commander, form: Form) -> Response:
    """Start all groups of a plan, one group or one script. The run is cancelled and retried as a task."""
    desk = _desk(parts)
    if not _may_start(desk, identity):
        raise ProblemError(403, "forbidden", "Exports are started by administrators here (exports.who).")
    try:
        run_id = desk.start(
            form.plan, group=form.group, script=form.script, columns=form.columns, user_id=identity.user_id
        )
    except PlanError as error:
        raise ProblemError(422, "invalid-request", str(error)) from error
    return JsonResponse(views.task_item(parts.reader.task(run_id)))


@router.get(
    "/api/exports/plans",
    summary="Export plans",
    operation_id="export_plans",
    responses=answers(PlanList, "The plans of the folders in `exports.plans`.", 401, 503),
)
def plans(parts: TheParts, identity: SignedIn) -> Response:
    """Return the plans, also those that are wrong, with the reason; none for who may not see them."""
    desk = parts.exports
    if desk is None or (identity.owner is not None and desk.who != "everybody"):
        return JsonResponse(PlanList(items=[], may_start=False))
    return JsonResponse(PlanList(items=desk.plans(), may_start=_may_start(desk, identity)))


@router.get(
    "/api/exports/{task_id:path}/files",
    summary="Files of an export",
    operation_id="export_files",
    responses=answers(FileList, "The files of a run, a group or a script.", 401, 404, 503),
)
def files(parts: TheParts, identity: SignedIn, task_id: TaskId) -> Response:
    """Return the files that the task left, and where each can be had."""
    task = parts.reader.task(task_id, owner=identity.owner)
    items = [
        ExportFile(
            number=number,
            name=str(each.get("name", "")),
            variant=each.get("variant"),
            rows=each.get("rows"),
            bytes=each.get("bytes"),
            href=f"api/exports/{quote(task_id, safe='')}/files/{number}",
        )
        for number, each in enumerate(files_of(task))
    ]
    return JsonResponse(FileList(items=items))


@router.get(
    "/api/exports/{task_id:path}/files/{number}",
    summary="One file of an export",
    operation_id="export_file",
    response_class=FileResponse,
    responses={
        **answers(None, "", 401, 403, 404, 409, 503),
        200: {"description": "The file.", "content": {"application/octet-stream": {}}},
    },
)
def file(
    parts: TheParts,
    identity: SignedIn,
    task_id: TaskId,
    number: Annotated[str, Path(description="The file's number in the list.")],
) -> Response:
    """Hand a file out: to the run's owner and to administrators, and only what the run left in a plan's folder."""
    task = parts.reader.task(task_id, owner=identity.owner)
    if not identity.may_command:
        raise ProblemError(403, "forbidden", "Files are for the run's owner and for administrators.")
    path = _desk(parts).file(task, int(number) if number.isascii() and number.isdecimal() else -1)
    headers = {"Cache-Control": "private, no-store"}
    return FileResponse(path, filename=path.name, media_type="application/octet-stream", headers=headers)


def _may_start(desk: ExportDesk, identity: Identity) -> bool:
    return identity.is_admin or (desk.who == "everybody" and identity.may_command)


def _desk(parts: Parts) -> ExportDesk:
    if parts.exports is None:
        raise ProblemError(503, "unavailable", "Exports are not run here.", headers={"Retry-After": "60"})
    return parts.exports
