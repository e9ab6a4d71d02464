"""What other systems of observation take in: one file a product. See docs/telemetry.md.

    from orakul import telemetry

    telemetry.set_up("shop", app=app, celery=celery)

Names are imported when they are first asked for, so that nobody pays for a product that they do not use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orakul.telemetry.correlation import CorrelationMiddleware, correlated, correlation_id
    from orakul.telemetry.elasticsearch import ElasticsearchHandler
    from orakul.telemetry.logs import ECSLogFormatter, ECSRenderer
    from orakul.telemetry.logs_setup import set_up_logs
    from orakul.telemetry.tracing import Tracing, set_up

__all__ = [
    "CorrelationMiddleware",
    "ECSLogFormatter",
    "ECSRenderer",
    "ElasticsearchHandler",
    "Tracing",
    "correlated",
    "correlation_id",
    "set_up",
    "set_up_logs",
]

_HOMES = {
    "CorrelationMiddleware": "correlation",
    "ECSLogFormatter": "logs",
    "ECSRenderer": "logs",
    "ElasticsearchHandler": "elasticsearch",
    "Tracing": "tracing",
    "correlated": "correlation",
    "correlation_id": "correlation",
    "set_up": "tracing",
    "set_up_logs": "logs_setup",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
