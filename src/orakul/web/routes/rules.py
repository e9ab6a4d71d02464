"""Rules: when this happens, tell them. Seen by administrators and viewers, made by administrators."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from orakul.events import Event
from orakul.reactions.desk import RuleDesk, RuleItem, RuleList, RulePreview, Tried
from orakul.reactions.rule import Rule, read_rule
from orakul.web.asked import given_in, invalid_body
from orakul.web.auth import Administrator, Overseer
from orakul.web.document import JsonResponse, answers, json_body
from orakul.web.given import TheParts
from orakul.web.problems import ProblemError

__all__ = ["router"]

router = APIRouter(tags=["admin"], default_response_class=JsonResponse)


def _desk(parts: TheParts) -> RuleDesk:
    if parts.rules is None:
        raise ProblemError(503, "unavailable", "No rules are kept here.", headers={"Retry-After": "60"})
    return parts.rules


Desk = Annotated[RuleDesk, Depends(_desk)]


async def _form(request: Request, _first: Administrator) -> dict[str, Any]:
    form = await given_in(request, dict[str, Any], required=True)
    if "\0" in str(form):
        raise invalid_body("There is a NUL character in it, which nothing here can have.")
    return form


Form = Annotated[dict[str, Any], Depends(_form)]
RuleId = Annotated[str, Path(max_length=200, description="The rule's id.")]


def _said(parts: TheParts, event_type: str, author: str, rule_id: str, name: str) -> None:
    if parts.tell is not None:
        data = {"rule_id": rule_id, "name": name}
        parts.tell([Event(event_type=event_type, user_id=author, data=data, source="control")])


@router.get(
    "/api/rules",
    summary="The rules",
    operation_id="rules",
    responses=answers(RuleList, "The rules, by name, and the notifiers.", 401, 403, 503),
)
def rules(_identity: Overseer, desk: Desk) -> Response:
    """Return the rules of `orakul.toml` and of the page, what is wrong with them, and the notifiers that there are."""
    return JsonResponse(desk.rules())


@router.post(
    "/api/rules",
    summary="Make a rule",
    operation_id="create_rule",
    responses=answers(RuleItem, "The rule, as it is kept.", 401, 403, 422, 503),
    openapi_extra=json_body(Rule, required=True),
)
def create(parts: TheParts, identity: Administrator, desk: Desk, form: Form) -> Response:
    """Make a rule; it holds within seconds, in every process that runs reactions."""
    made = desk.save(form, identity.user_id)
    _said(parts, "reaction.rule_created", identity.user_id, made.rule_id, made.rule.name)
    return JsonResponse(made)


@router.post(
    "/api/rules/preview",
    summary="What a rule would have told",
    operation_id="preview_rule",
    responses=answers(RulePreview, "The messages of the last day.", 401, 403, 422, 503),
    openapi_extra=json_body(Rule, required=True),
)
def preview(_identity: Administrator, desk: Desk, form: Form) -> Response:
    """Return what a rule that is not yet made would have told in the last day; nothing is sent."""
    return JsonResponse(desk.preview(read_rule(form)))


@router.put(
    "/api/rules/{rule_id}",
    summary="Change a rule",
    operation_id="change_rule",
    responses=answers(RuleItem, "The rule, as it is kept.", 401, 403, 404, 409, 422, 503),
    openapi_extra=json_body(Rule, required=True),
)
def change(parts: TheParts, identity: Administrator, desk: Desk, rule_id: RuleId, form: Form) -> Response:
    """Change a rule made on the page; one of `orakul.toml` is changed there (409)."""
    kept = desk.save(form, identity.user_id, rule_id)
    _said(parts, "reaction.rule_changed", identity.user_id, kept.rule_id, kept.rule.name)
    return JsonResponse(kept)


@router.delete(
    "/api/rules/{rule_id}",
    summary="Delete a rule",
    operation_id="delete_rule",
    status_code=204,
    responses={204: {"description": "It is gone."}, **answers(None, "", 401, 403, 404, 409, 503)},
)
def delete(parts: TheParts, identity: Administrator, desk: Desk, rule_id: RuleId) -> Response:
    """Delete a rule made on the page; messages that it has made are delivered all the same."""
    name = desk.find(rule_id).rule.name
    desk.delete(rule_id)
    _said(parts, "reaction.rule_deleted", identity.user_id, rule_id, name)
    return Response(status_code=204)


@router.get(
    "/api/rules/{rule_id}/preview",
    summary="What this rule would have told",
    operation_id="preview_of_rule",
    responses=answers(RulePreview, "The messages of the last day.", 401, 403, 404, 503),
)
def preview_of(_identity: Overseer, desk: Desk, rule_id: RuleId) -> Response:
    """Return what a rule, as it is now, would have told in the last day; nothing is sent."""
    return JsonResponse(desk.preview(desk.find(rule_id).rule, rule_id))


@router.post(
    "/api/rules/{rule_id}/try",
    summary="Send a sample",
    operation_id="try_rule",
    responses=answers(Tried, "What came of it at each notifier.", 401, 403, 404, 503),
)
def try_out(_identity: Administrator, desk: Desk, rule_id: RuleId) -> Response:
    """Send a sample of the rule's message to each of its notifiers, now."""
    return JsonResponse(desk.try_out(rule_id))
