"""A collector of OpenTelemetry for the tests: a real HTTP server that takes OTLP, and decodes the spans.

    with Collector() as collector:
        ... OTEL_EXPORTER_OTLP_ENDPOINT=collector.url ...
        spans = collector.until(lambda spans: len(spans) >= 5)

It can refuse (`mode = "erring"`) and never answer (`mode = "slow"`).
"""

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from processes import wait_for

__all__ = ["Collector", "Received"]

_KINDS = {0: "unset", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


class Received(NamedTuple):
    """A span as it came."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str | None
    attributes: dict[str, Any]
    events: list[str]
    links: list[str]
    failed: bool
    service: str
    scope: str
    seconds: float


class Collector:
    """The server, in threads of ours."""

    def __init__(self) -> None:
        self.mode = "taking"
        self.spans: list[Received] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._released = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                if collector.mode == "slow":
                    collector._released.wait(120)
                if collector.mode == "erring":
                    self.send_error(500)
                    return
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._take(body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                """Show a trace: `/trace/<id>`, as a viewer of traces would."""
                trace = self.path.rpartition("/")[2]
                names = [f"<li>{span.service}: {span.name}" for span in collector.spans if span.trace_id == trace]
                page = f"<title>{trace}</title><link rel=icon href=data:,><ol>{''.join(names)}</ol>".encode()
                self.send_response(200 if names else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def until(
        self, enough: Callable[[list[Received]], object], what: str = "spans", timeout: float = 30
    ) -> list[Received]:
        """Wait until these are enough, and return all."""
        try:
            wait_for(lambda: enough(list(self.spans)), what, timeout=timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are:\n{self.drawn()}") from error
        return list(self.spans)

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]

    def drawn(self) -> str:
        """Draw all spans as trees."""
        spans = list(self.spans)
        known = {span.span_id for span in spans}

        def lines(span: Received, depth: int) -> list[str]:
            below = [line for each in spans if each.parent_id == span.span_id for line in lines(each, depth + 1)]
            return [f"{'  ' * depth}{span.name} [{span.kind}, {span.service}] {span.trace_id[:6]}", *below]

        return "\n".join(line for span in spans if span.parent_id not in known for line in lines(span, 0))

    def _take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for resource in request.resource_spans:
            service = next(
                (each.value.string_value for each in resource.resource.attributes if each.key == "service.name"), ""
            )
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Received(
                            name=span.name,
                            kind=_KINDS[span.kind],
                            trace_id=span.trace_id.hex(),
                            span_id=span.span_id.hex(),
                            parent_id=span.parent_span_id.hex() or None,
                            attributes={each.key: _value(each.value) for each in span.attributes},
                            events=[event.name for event in span.events],
                            links=[link.span_id.hex() for link in span.links],
                            failed=span.status.code == 2,
                            service=service,
                            scope=scope.scope.name,
                            seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                        )
                    )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
