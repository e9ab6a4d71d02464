"""The catalogue as an AsyncAPI 3 document, for those who consume in other languages and for their tools."""

from typing import Any

import msgspec

from orakul.events.catalogue import Catalogue, EventType

__all__ = ["asyncapi", "catalogue_of"]

_ENVELOPE: dict[str, Any] = {
    "event_id": {"type": "string", "format": "uuid", "description": "the same whenever it comes: drop what you know"},
    "event_type": {"type": "string"},
    "user_id": {"type": ["integer", "string", "null"], "description": "who caused it"},
    "timestamp": {"type": "string", "format": "date-time"},
    "version": {"type": "integer", "minimum": 1, "description": "the form of the data; left out: 1"},
    "task_id": {"type": "string"},
    "trace_id": {"type": "string"},
    "source": {"type": "string"},
}
_HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0 attributes: `cloudEvents:…` in RabbitMQ, `ce_…` in Kafka and Redis",
    "properties": {
        **{name: {"type": "string"} for name in ("specversion", "id", "source", "type", "subject", "time")},
        "traceparent": {"type": "string", "description": "W3C Trace Context"},
    },
}


def catalogue_of(catalogue: Catalogue, *, own: bool = False) -> Catalogue:
    """Return the types that others than Orakul have entered, with `own` all of them."""
    chosen = Catalogue()
    for kind in catalogue:
        if own or not kind.__module__.startswith("orakul."):
            chosen.add(kind)
    return chosen


def asyncapi(
    catalogue: Catalogue, *, title: str = "Domain events", version: str = "1.0.0", exchange: str = "events"
) -> dict[str, Any]:
    """Return the document: a channel for each type, its message, the schema of its data."""
    kinds = sorted(catalogue, key=lambda kind: kind.type_name)
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    described = {each.event_type: each.summary for each in catalogue.describe()}
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "channels": {},
        "operations": {},
        "components": {"messages": {}, "schemas": components},
    }
    for kind, schema in zip(kinds, schemas, strict=True):
        name = kind.type_name
        document["channels"][name] = {
            "address": name,
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            "bindings": {
                "amqp": {"is": "routingKey", "exchange": {"name": exchange, "type": "topic", "durable": True}}
            },
        }
        document["operations"][f"publish.{name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": described[name],
        }
        document["components"]["messages"][name] = _message(kind, schema, described[name])
    return document


def _message(kind: type[EventType], schema: dict[str, Any], summary: str) -> dict[str, Any]:
    properties = _ENVELOPE | {"event_type": {"const": kind.type_name}, "data": schema}
    return {
        "name": kind.type_name,
        "title": kind.__name__,
        "summary": summary,
        "contentType": "application/json",
        "headers": _HEADERS,
        "payload": {
            "type": "object",
            "required": ["event_id", "event_type", "data", "user_id", "timestamp"],
            "properties": properties,
        },
        "x-version": kind.version,
    }
