"""Commands to the queues: for administrators."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from orakul.tasks.control import QueueCommand
from orakul.web.auth import Administrator
from orakul.web.document import JsonResponse, answers, json_body
from orakul.web.given import TheParts
from orakul.web.problems import FieldProblem, ProblemError
from orakul.web.views import QueueOrder

__all__ = ["router"]

router = APIRouter(tags=["admin"], default_response_class=JsonResponse)

_LONGEST_NAME = 255


async def _order(request: Request, _first: Administrator) -> QueueOrder:
    """Read the body, after it is known that an administrator sent it."""
    body = await request.body()
    if not body.strip():
        return QueueOrder()
    try:
        order = msgspec.json.decode(body, type=QueueOrder)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _invalid(f'The body must be empty or like {{"queue": "celery"}}: {error}') from error
    if order.queue is not None and (not order.queue or len(order.queue) > _LONGEST_NAME or "\0" in order.queue):
        raise _invalid("`queue` must be a name of 1 to 255 characters; leave it out for all queues.")
    return order


def _invalid(message: str) -> ProblemError:
    return ProblemError(
        422, "invalid-request", message, errors=[FieldProblem(place="body", name="queue", message=message)]
    )


Order = Annotated[QueueOrder, Depends(_order)]


@router.post(
    "/api/admin/queue/pause",
    summary="Pause a queue, or all",
    operation_id="pause",
    responses=answers(QueueCommand, "The queue as it is now.", 401, 403, 422, 503),
    openapi_extra=json_body(QueueOrder, required=False),
)
def pause(parts: TheParts, identity: Administrator, order: Order) -> Response:
    """Stop the workers from taking from a queue, those that start later too."""
    return JsonResponse(parts.control.pause(order.queue, identity.user_id, order.reason or None))


@router.post(
    "/api/admin/queue/resume",
    summary="Resume a queue, or all",
    operation_id="resume",
    responses=answers(QueueCommand, "The queue as it is now.", 401, 403, 409, 422, 503),
    openapi_extra=json_body(QueueOrder, required=False),
)
def resume(parts: TheParts, identity: Administrator, order: Order) -> Response:
    """Let the workers take from a queue again."""
    return JsonResponse(parts.control.resume(order.queue, identity.user_id, order.reason or None))
