"""Metrics of processes that serve nothing else: `--metrics-port`."""

from typing import Annotated

import typer

__all__ = ["MetricsHost", "MetricsPort", "serve"]

MetricsPort = Annotated[
    int,
    typer.Option(
        "--metrics-port",
        min=0,
        max=65535,
        help="Serve /metrics for Prometheus at this port; 0: none.",
    ),
]
MetricsHost = Annotated[
    str,
    typer.Option("--metrics-host", help="Address that /metrics listens on; 0.0.0.0: all."),
]


def serve(port: int, host: str) -> None:
    """Serve the metrics of this process until its end, where a port is given."""
    if port:
        from orakul.telemetry.prometheus import serve_metrics

        serve_metrics(host, port)
