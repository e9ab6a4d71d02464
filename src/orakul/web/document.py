"""The OpenAPI document. Its schemas are drawn from the very structures that the routes encode, so they are true."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse

from orakul.delivery.room import EventFigures, Journey, PublishedPage
from orakul.pipelines.room import PipelineList, PipelineState, RunPoint
from orakul.reactions.desk import RuleItem, RuleList, RulePreview, Tried
from orakul.reactions.rule import Rule
from orakul.tasks import Summary
from orakul.tasks.bulk import BulkJob
from orakul.tasks.control import QueueCommand
from orakul.tasks.moments import MomentRange, Turns
from orakul.tasks.retention import Preview, Rules, RulesChange
from orakul.tasks.room import Chart, Counts, ErrorGroups, Insights, SavedView
from orakul.web import command_views, event_views, export_views, moment_views, operation_views, room_views, views
from orakul.web.problems import MEDIA_TYPE, Problem

__all__ = ["JsonResponse", "answers", "document_of", "json_body"]

_MOMENT = re.compile(r"_at$|_seen$|^eta$|^timestamp$|^since$|^until$|^before$|^at$|^oldest$|^newest$|^now$")
_REF = "#/components/schemas/{name}"

_SHOWN: tuple[type, ...] = (
    moment_views.MomentPage,
    MomentRange,
    Turns,
    Preview,
    Rules,
    RulesChange,
    views.TaskItem,
    views.TaskPage,
    views.TaskTree,
    views.TaskDetail,
    views.CommandedTask,
    views.ChangePage,
    views.LogPage,
    views.EventPage,
    room_views.QueueList,
    room_views.WorkerList,
    room_views.ViewList,
    room_views.ViewForm,
    operation_views.OperationReport,
    PipelineList,
    PipelineState,
    RunPoint,
    Rule,
    RuleItem,
    RuleList,
    RulePreview,
    Tried,
    SavedView,
    Counts,
    ErrorGroups,
    Chart,
    Insights,
    views.NameList,
    views.QueueOrder,
    command_views.Arguments,
    command_views.AuditPage,
    command_views.BulkForm,
    command_views.BulkList,
    command_views.BulkResults,
    BulkJob,
    command_views.EditedRun,
    EventFigures,
    Journey,
    PublishedPage,
    event_views.DeadPage,
    event_views.ReplayForm,
    event_views.Replayed,
    export_views.ExportForm,
    export_views.FileList,
    export_views.PlanList,
    command_views.Reason,
    views.Me,
    views.Settings,
    views.TokenGrant,
    views.Wellbeing,
    views.Readiness,
    QueueCommand,
    Summary,
    Problem,
)

_WHEN = {
    400: "The request cannot be read.",
    401: "Not signed in: the token is missing, expired or forged.",
    403: "Signed in, but this is not for you; or a command with the cookie from a foreign page.",
    404: "There is no such task for you.",
    409: "The task's state, or what is known of it, does not allow the command.",
    413: "The body is too large.",
    422: "The request does not fit: an unknown filter, cursor, sort or value.",
    429: "Too many failures; wait as long as Retry-After says.",
    503: "The journal or the broker does not answer; try again.",
}

_DESCRIPTION = """\
Mission control for the background work of Python systems.

Send a bearer token on any route, the stream included; browsers swap theirs for a cookie by `POST /api/session`.
Lists answer `{"items": [...], "next": cursor | null}`. Every error is a problem document (RFC 9457).
A task of another user does not exist: 404.
"""

_STREAM = """\
Server-Sent Events, of these kinds:

- `task`: a task's list form as it now is, with `seq`, `event_type`, `new_status` and `timestamp`;
- `log`: a log line;
- `event`: any other event (administrators and viewers);
- `metrics`: the summary;
- `live`: whether the journal can be followed now;
- `reset`: what was missed is gone, read anew.

`id:` is the journal's `seq`; `Last-Event-ID` brings exactly what was missed.
Ordinary users hear of their own tasks only.
"""


class JsonResponse(JSONResponse):
    """An answer encoded by msgspec, once."""

    def render(self, content: Any) -> bytes:
        """Encode a structure, or pass on what is encoded already."""
        return content if isinstance(content, bytes) else msgspec.json.encode(content)


def ref(shown: type) -> dict[str, str]:
    """Return the reference to a structure's schema."""
    return {"$ref": _REF.format(name=shown.__name__)}


def answers(shown: type | None, said: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return a route's `responses`: what it answers, and the problems that may come instead."""
    found: dict[int | str, dict[str, Any]] = {}
    if shown is not None:
        found[200] = {"description": said, "content": {"application/json": {"schema": ref(shown)}}}
    for status in statuses:
        headers = {
            401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
            429: {"Retry-After": {"schema": {"type": "integer"}}},
            503: {"Retry-After": {"schema": {"type": "integer"}}},
        }.get(status)
        found[status] = {
            "description": _WHEN.get(status, HTTPStatus(status).phrase),
            "content": {MEDIA_TYPE: {"schema": ref(Problem)}},
        }
        if headers:
            found[status]["headers"] = headers
    return found


def json_body(shown: type, *, required: bool) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that reads its own body."""
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": ref(shown)}}}}


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the whole document."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": said} for name, said in _TAGS.items()],
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_schemas(_SHOWN))
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _add_problems(path, operation)
    document["paths"]["/api/tasks/subscribe"] = {"get": _stream_operation()}
    return document


_TAGS = {
    "tasks": "Tasks: the list, one task, and the commands to it.",
    "exports": "Export plans, their runs and files.",
    "overview": "What the header and the side lists show.",
    "admin": "Commands to the queues.",
    "sign-in": "Tokens, the session, who is signed in.",
    "operation": "For those who run Orakul.",
}


def _schemas(shown: Iterable[type]) -> dict[str, Any]:
    _, found = msgspec.json.schema_components(shown, ref_template=_REF)
    wanted: Mapping[str, Any] = {kind.__name__: kind for kind in shown}
    for name, schema in found.items():
        optional = getattr(wanted.get(name), "__struct_config__", None)
        # What is encoded carries every field, also those that have defaults, unless it says otherwise.
        leaves_out = (optional is not None and optional.omit_defaults) or name in {
            "BulkFilter",
            "BulkForm",
            "EditedRun",
            "ExportForm",
            "QueueOrder",
            "Reason",
            "Rule",
            "RulesChange",
            "TaskError",
            "ViewForm",
            "When",
        }
        if schema.get("type") == "object" and "properties" in schema and not leaves_out:
            schema["required"] = list(schema["properties"])
        for field, form in schema.get("properties", {}).items():
            form.pop("default", None)
            if _MOMENT.search(field):
                text = next((each for each in form.get("anyOf", [form]) if each.get("type") == "string"), form)
                text["format"] = "date-time"
    return found


def _add_problems(path: str, operation: dict[str, Any]) -> None:
    """Say of an operation what holds for all: a query that does not fit, and whatever else may go wrong."""
    found = operation["responses"]
    if path.startswith("/api") or "422" in found:
        found["422"] = answers(None, "", 422)[422]
    found["default"] = {"description": "Any other problem.", "content": {MEDIA_TYPE: {"schema": ref(Problem)}}}


def _stream_parameter(name: str, said: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": said}


def _stream_operation() -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    }
    responses.update({str(status): answer for status, answer in answers(None, "", 401, 422, 503).items()})
    last = {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "integer"}}
    return {
        "tags": ["tasks"],
        "summary": "What happens, live",
        "operationId": "subscribe",
        "description": _STREAM,
        "parameters": [
            {**last, "description": "The last `seq` seen; what came after it is sent first."},
            _stream_parameter("last_event_id", "The same, for who cannot send headers."),
            _stream_parameter("only", "Kinds of events, with commas: `task`, `log`, `event`, `metrics`."),
            _stream_parameter("task_id", "Only what is about this task."),
        ],
        "security": [{"bearer": []}, {"cookie": []}],
        "responses": responses,
    }
