"""Where OTLP goes and on whose behalf: alike for traces, metrics and logs."""

import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from orakul.errors import MissingExtraError, OrakulError
from orakul.settings import without_password

try:
    from opentelemetry.sdk.resources import Resource
except ImportError as _error:
    raise MissingExtraError("opentelemetry-sdk", "opentelemetry") from _error

__all__ = ["TRACES", "address", "resource", "switched_off"]

TRACES = "v1/traces"


def switched_off() -> bool:
    """Tell whether OpenTelemetry is, by its own variable."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def address(endpoint: str, path: str) -> str:
    """Return the address of a signal at a collector: whoever gives the path gives all of it."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        shown = without_password(endpoint)
        raise OrakulError(f"endpoint {shown!r} is no address of a collector: give http://host:4318, or https://…")
    if parts.path.rstrip("/").endswith(path):
        return endpoint
    return f"{endpoint.rstrip('/').removesuffix(f'/{TRACES}')}/{path}"


def resource(service: str | None, attributes: Mapping[str, str]) -> Resource:
    """Return what describes this process: OpenTelemetry's own variables outrank what is given here."""
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    facts: dict[str, str] = {"host.name": socket.gethostname(), **attributes}
    if service and not named:
        facts["service.name"] = service
    return Resource.create(facts)
