"""Orakul's own spans, metrics and lines over OTLP, where the settings ask for them."""

from collections.abc import Sequence

from orakul.settings import Settings

__all__ = ["trace_itself"]


def trace_itself(settings: Settings, *, libraries: Sequence[str] | None = ()) -> None:
    """Send spans of what this process does, where `telemetry.traces` is on, and metrics and logs where these are.

    Else it costs nothing, nor is it loaded.

    `libraries` are those whose calls are spans, None for all: where somebody else's code runs. Our own spans tell what
    a query or a call was for.
    """
    asked = settings.telemetry
    if asked.metrics or asked.logs:
        from orakul.telemetry.signals import set_up_signals  # noqa: PLC0415 (a product)

        set_up_signals(asked.service, metrics=asked.metrics, logs=asked.logs, endpoint=asked.endpoint)
    if not asked.traces:
        return
    from orakul.telemetry.tracing import set_up  # noqa: PLC0415 (a product)

    set_up(asked.service, endpoint=asked.endpoint, libraries=libraries)
