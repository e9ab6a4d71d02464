"""Orakul's own parts, and operations, as spans of the provider."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from orakul import instruments
from orakul.operations import watching
from orakul.telemetry.opentelemetry import join_opentelemetry

__all__ = ["bridge_instruments", "bridge_operations"]


def bridge_instruments(provider: trace.TracerProvider) -> None:
    """Let `orakul.instruments.span` make spans of the provider."""
    tracer = provider.get_tracer("orakul")

    def begin(name: str, attributes: Mapping[str, Any]) -> AbstractContextManager[Any]:
        return tracer.start_as_current_span(name, attributes=dict(attributes))

    instruments.set_tracer(begin)


def bridge_operations(provider: trace.TracerProvider) -> None:
    """Let operations (`@operation`) be spans too, unless the application has seen to that itself."""
    if isinstance(provider, TracerProvider) and watching._bridge is None:  # noqa: SLF001 (asks, changes nothing)
        join_opentelemetry(provider)
