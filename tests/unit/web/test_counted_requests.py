"""Requests are counted by the template of their route, so that ids and made-up paths make no figures of their own."""

import asyncio

import httpx2
from fastapi import FastAPI

from orakul.instruments import Distribution, collect
from orakul.web.metrics import CountedRequests


def counted() -> dict[tuple[str, ...], float]:
    [found] = [each for each in collect() if each.name == "orakul_http_requests_total"]
    return {key: figure for key, figure in found.samples.items() if not isinstance(figure, Distribution)}


async def ask(*asked: tuple[str, str]) -> None:
    app = FastAPI()

    @app.get("/counted/{thing}")
    def read(thing: str) -> str:
        return thing

    @app.post("/counted/{thing}/broken")
    def write(thing: str) -> str:
        raise RuntimeError(thing)

    app.add_middleware(CountedRequests)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://room") as client:
        for method, path in asked:
            await client.request(method, path)


def test_ids_methods_and_paths_that_are_made_up_are_bounded() -> None:
    before = counted()
    asked = [("GET", f"/counted/{n}") for n in range(3)]
    asked += [("POST", "/counted/1/broken"), ("GET", "/nowhere/1"), ("GET", "/nowhere/2"), ("BREW", "/counted/1")]
    asyncio.run(ask(*asked))
    more = {key: figure - before.get(key, 0) for key, figure in counted().items() if figure > before.get(key, 0)}
    assert more[("GET", "/counted/{thing}", "2xx")] == 3
    assert more[("POST", "/counted/{thing}/broken", "5xx")] == 1
    assert more[("GET", "(page)", "4xx")] == 2
    assert more[("(other)", "/counted/{thing}", "4xx")] == 1
    assert len(more) == 4
