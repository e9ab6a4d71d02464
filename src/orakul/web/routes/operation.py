"""For those who run Orakul: is it alive, is it ready, what does it count."""

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from orakul import __version__
from orakul.telemetry.prometheus import CONTENT_TYPE, exposition, observe_process
from orakul.web import views
from orakul.web.auth import identify
from orakul.web.document import JsonResponse, answers
from orakul.web.given import TheParts, TheReadiness, TheTokens
from orakul.web.problems import MEDIA_TYPE, Problem, ProblemError

__all__ = ["router"]

observe_process()
router = APIRouter(tags=["operation"], default_response_class=JsonResponse)


@router.get(
    "/healthz",
    summary="Alive",
    operation_id="healthz",
    responses=answers(views.Wellbeing, "The process answers."),
)
async def healthz() -> Response:
    """Answer, without asking anything else."""
    return JsonResponse(views.Wellbeing(status="alive", version=__version__))


@router.get(
    "/readyz",
    summary="Ready",
    operation_id="readyz",
    responses=answers(views.Readiness, "The database and the feed answer.", 503),
)
def readyz(readiness: TheReadiness, parts: TheParts) -> Response:
    """Ask the database and the feed; say what does not answer, and since when.

    A broker that is away is told among the checks, and leaves it ready: all can be read, and orders are kept.
    """
    troubles = readiness.troubles()
    checks = dict.fromkeys(readiness.names, "ok") | dict(parts.notices() if parts.notices else {})
    if not troubles:
        return JsonResponse(views.Readiness(status="ready", checks=checks))
    checks.update({trouble.name: trouble.said for trouble in troubles})
    detail = "; ".join(
        f"{trouble.name} does not answer since {trouble.since:%Y-%m-%d %H:%M:%S} UTC: {trouble.said}"
        for trouble in troubles
    )
    problem = Problem(
        type="urn:orakul:problem:not-ready",
        title="Service Unavailable",
        status=503,
        detail=f"{detail}. It is tried again and again; nothing needs to be restarted here.",
        since=min(trouble.since for trouble in troubles).isoformat().replace("+00:00", "Z"),
        checks=checks,
    )
    return Response(msgspec.json.encode(problem), 503, media_type=MEDIA_TYPE, headers={"Retry-After": "2"})


@router.get(
    "/metrics",
    summary="Prometheus",
    operation_id="metrics",
    response_class=PlainTextResponse,
    responses={
        200: {"description": "Prometheus's text form.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **answers(None, "", 401, 403, 404),
    },
)
async def metrics(request: Request, parts: TheParts, tokens: TheTokens) -> Response:
    """Return what there is to count. The settings say who may read it: anybody, administrators and viewers, nobody."""
    if parts.settings.metrics == "off":
        raise ProblemError(404, "no-such-page", "Metrics are switched off in the settings.")
    if parts.settings.metrics == "signed-in":
        identity = await identify(request, tokens)
        if not identity.sees_all:
            raise ProblemError(403, "forbidden", "This is for administrators and viewers.")
    return Response(await run_in_threadpool(exposition), headers={"Content-Type": CONTENT_TYPE})
