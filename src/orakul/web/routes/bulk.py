"""Commands to many tasks at once, each a job of its own."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from orakul.events import Event
from orakul.tasks import TaskQuery
from orakul.tasks.bulk import BulkJob, BulkJobs, job_events
from orakul.web.asked import given_in, invalid_body
from orakul.web.auth import Commander, SignedIn
from orakul.web.command_views import BulkForm, BulkList, BulkResults
from orakul.web.document import JsonResponse, answers, json_body
from orakul.web.filters import moment
from orakul.web.given import TheParts
from orakul.web.identity import Identity
from orakul.web.parts import Parts
from orakul.web.problems import ProblemError
from orakul.web.query import TaskId, statuses

__all__ = ["router"]

router = APIRouter(tags=["tasks"], default_response_class=JsonResponse)

_USUAL: dict[str, list[str]] = {"retry": ["failed"], "cancel": ["pending", "in_progress"]}


async def _form(request: Request, _first: Commander) -> BulkForm:
    form = await given_in(request, BulkForm, required=True)
    if (form.filter is None) == (form.task_ids is None):
        raise invalid_body("The body must have either `filter` or `task_ids`.")
    return form


Form = Annotated[BulkForm, Depends(_form)]


@router.post(
    "/api/bulk",
    summary="Command many tasks",
    operation_id="begin_bulk",
    responses=answers(BulkJob, "The job; the one that runs, where it is the same.", 401, 403, 422, 503),
    openapi_extra=json_body(BulkForm, required=True),
)
def begin(parts: TheParts, identity: Commander, form: Form) -> Response:
    """Begin to retry or cancel tasks: those named, or those there now that fit the list's filters."""
    jobs = _jobs(parts)
    job = jobs.begin(
        form.command,
        author=identity.user_id,
        owner=identity.owner,
        reason=form.reason or None,
        query=_query(form, identity) if form.filter is not None else None,
        task_ids=form.task_ids or (),
    )
    if parts.tell is not None and not job.done + job.failed + job.skipped:
        # Of a second click the journal knows the event already.
        asked = msgspec.structs.replace(
            _command_event("bulk.requested", job, identity.user_id),
            event_id=f"{job.job_id}.requested",
            timestamp=job.created_at,
        )
        parts.tell([asked, *job_events(job, "task.pending", "task.in_progress")])
    return JsonResponse(job)


@router.get(
    "/api/bulk",
    summary="Jobs that command many tasks",
    operation_id="bulk_jobs",
    responses=answers(BulkList, "The latest jobs, one's own or all.", 401, 503),
)
def jobs(parts: TheParts, identity: SignedIn) -> Response:
    """Return the latest jobs."""
    return JsonResponse(BulkList(items=list(_jobs(parts).jobs(author=identity.owner)), next=None))


@router.get(
    "/api/bulk/{task_id}/results",
    summary="What came of each task",
    operation_id="bulk_results",
    responses=answers(BulkResults, "The tasks of a job, in order.", 401, 404, 422, 503),
)
def results(
    parts: TheParts,
    identity: SignedIn,
    task_id: TaskId,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
) -> Response:
    """Return what came of each task of the job."""
    page = _jobs(parts).results(task_id, author=identity.owner, after=after, limit=limit)
    return JsonResponse(BulkResults(items=page.items, next=page.next))


@router.get(
    "/api/bulk/{task_id}",
    summary="One job",
    operation_id="bulk_job",
    responses=answers(BulkJob, "The job as it is now.", 401, 404, 503),
)
def job(parts: TheParts, identity: SignedIn, task_id: TaskId) -> Response:
    """Return one job, which is also a task of kind `bulk` with the same id."""
    return JsonResponse(_jobs(parts).job(task_id, author=identity.owner))


@router.delete(
    "/api/bulk/{task_id}",
    summary="Abort a job",
    operation_id="abort_bulk",
    responses=answers(BulkJob, "The job: it stops after the commands that it is giving.", 401, 403, 404, 503),
)
def abort(parts: TheParts, identity: Commander, task_id: TaskId) -> Response:
    """Stop a job. What it commanded already stays commanded."""
    before = _jobs(parts).job(task_id, author=identity.owner)
    ended = _jobs(parts).abort(task_id, identity.user_id, author=identity.owner)
    if parts.tell is not None and before.status == "running":
        asked = _command_event("bulk.abort_requested", ended, identity.user_id)
        parts.tell([asked, *job_events(ended, "task.cancelled")])
    return JsonResponse(ended)


def _query(form: BulkForm, identity: Identity) -> TaskQuery:
    given = form.filter
    assert given is not None  # noqa: S101 (asked before)
    return TaskQuery(
        status=statuses(given.status or _USUAL[form.command]),
        name=given.name or None,
        user=given.user or None,
        kind=given.kind,
        queue=given.queue,
        worker=given.worker,
        since=moment("since", given.since),
        until=moment("until", given.until),
        error=given.error or None,
        search=given.search or None,
        text=given.text or None,
        sort="created_at",
        owner=identity.owner,
    )


def _command_event(kind: Literal["bulk.requested", "bulk.abort_requested"], job: BulkJob, author: str) -> Event:
    data = {"attempt": 1, "command": job.command, **({"reason": job.reason} if job.reason else {})}
    return Event(event_type=kind, task_id=job.job_id, user_id=author, data=data, source="control")


def _jobs(parts: Parts) -> BulkJobs:
    if parts.bulk is None:
        raise ProblemError(503, "unavailable", "No jobs are kept here.", headers={"Retry-After": "60"})
    return parts.bulk
