"""Orakul's own spans, where the settings ask for them."""

from collections.abc import Sequence

from orakul.settings import Settings

__all__ = ["trace_itself"]


def trace_itself(settings: Settings, *, libraries: Sequence[str] | None = ()) -> None:
    """Send spans of what this process does, where `telemetry.traces` is on; else it costs nothing, nor is it loaded.

    `libraries` are those whose calls are spans, None for all: where somebody else's code runs. Our own spans tell what
    a query or a call was for.
    """
    if not settings.telemetry.traces:
        return
    from orakul.telemetry.tracing import set_up  # noqa: PLC0415 (a product)

    set_up(settings.telemetry.service, endpoint=settings.telemetry.endpoint, libraries=libraries)
