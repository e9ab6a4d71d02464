"""The correlation id: taken or made, answered with, on the root span whichever middleware is outermost."""

from typing import Any

import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from orakul.telemetry.correlation import CorrelationMiddleware, correlated, correlation_id, sane


def application() -> Starlette:
    async def plain(_request: Any) -> PlainTextResponse:
        return PlainTextResponse(str(correlation_id()))

    def in_thread(_request: Any) -> PlainTextResponse:
        return PlainTextResponse(str(correlation_id()))

    async def stream(_request: Any) -> StreamingResponse:
        async def lines() -> Any:
            for _ in range(3):
                yield f"{correlation_id()}\n"

        return StreamingResponse(lines())

    async def own(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("mine", headers={"X-Correlation-ID": "mine"})

    async def socket(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(str(correlation_id()))
        await websocket.close()

    routes = [
        Route("/", plain),
        Route("/thread", in_thread),
        Route("/stream", stream),
        Route("/own", own),
        WebSocketRoute("/socket", socket),
    ]
    return Starlette(routes=routes)


@pytest.fixture
def client() -> Any:
    app = application()
    app.add_middleware(CorrelationMiddleware)
    with TestClient(app) as found:  # lifespan passes through
        yield found


@pytest.mark.parametrize("path", ["/", "/thread"])
def test_a_sane_id_is_taken_and_answered_with(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"X-Correlation-ID": "order-42/a"})
    assert answer.text == answer.headers["x-correlation-id"] == "order-42/a"


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 129, "ключ".encode(), "a\tb", '"quoted"'])
def test_without_a_sane_id_one_is_made(client: TestClient, given: Any) -> None:
    answer = client.get("/", headers={} if given is None else {"X-Correlation-ID": given})
    assert len(answer.text) == 32
    assert answer.headers["x-correlation-id"] == answer.text
    assert client.get("/").text != answer.text


def test_it_holds_through_a_streamed_answer(client: TestClient) -> None:
    assert client.get("/stream", headers={"X-Correlation-ID": "s"}).text == "s\n" * 3


def test_an_answer_that_names_its_own_keeps_it(client: TestClient) -> None:
    assert client.get("/own").headers.get_list("x-correlation-id") == ["mine"]


def test_a_websocket_has_one_too(client: TestClient) -> None:
    with client.websocket_connect("/socket", headers={"X-Correlation-ID": "w-1"}) as socket:
        assert socket.receive_text() == "w-1"


def test_nothing_is_left_when_the_block_ends() -> None:
    assert correlation_id() is None
    with correlated("a") as outer:
        with correlated() as inner:
            assert correlation_id() == inner != outer
        assert correlation_id() == "a"
    assert correlation_id() is None


def test_what_is_sane() -> None:
    assert [sane(value) for value in ("a", "a\n", None, 7, "x" * 128)] == ["a", None, None, None, "x" * 128]


@pytest.fixture
def spans() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def roots(exporter: InMemorySpanExporter) -> list[Any]:
    return [span for span in exporter.get_finished_spans() if span.parent is None]


@pytest.mark.parametrize("outermost", ["ours", "theirs"])
def test_the_root_span_has_it_whichever_is_outermost(
    spans: tuple[TracerProvider, InMemorySpanExporter], outermost: str
) -> None:
    provider, exporter = spans
    app: Any = application()
    if outermost == "ours":
        app = CorrelationMiddleware(OpenTelemetryMiddleware(app, tracer_provider=provider))
    else:
        app = OpenTelemetryMiddleware(CorrelationMiddleware(app), tracer_provider=provider)
    TestClient(app).get("/stream", headers={"X-Correlation-ID": "c-1"})
    (root,) = roots(exporter)
    assert root.kind is SpanKind.SERVER
    assert root.attributes["correlation.id"] == "c-1"


def test_fastapi_instrumented_has_it_on_its_root(spans: tuple[TracerProvider, InMemorySpanExporter]) -> None:
    from fastapi import FastAPI

    provider, exporter = spans
    app = FastAPI()
    app.add_middleware(CorrelationMiddleware)
    app.get("/")(correlation_id)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    assert TestClient(app).get("/", headers={"X-Correlation-ID": "c-2"}).json() == "c-2"
    (root,) = roots(exporter)
    assert root.attributes["correlation.id"] == "c-2"
