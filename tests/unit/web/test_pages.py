"""The built interface: its files, its page, and nothing else of the machine."""

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from orakul.web.pages import Pages

Get = Callable[..., httpx2.Response]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "interface"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text(
        '<head><script src="./assets/app-Ab12_cd9.js"></script><link href="./mark.svg"></head>'
    )
    (root / "assets" / "app-Ab12_cd9.js").write_text("plain")
    (root / "assets" / "app-Ab12_cd9.js.gz").write_bytes(gzip.compress(b"plain"))
    (root / "mark.svg").write_text("<svg/>")
    (root / ".hidden").write_text("hidden")
    (tmp_path / "secret.key").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret.key")
    return root


def getter(folder: Path, root_path: str = "") -> Get:
    app = Starlette()
    app.router.default = Pages(folder)

    def get(path: str, *, accept: str = "text/html", method: str = "GET", **headers: str) -> httpx2.Response:
        async def go() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=app, root_path=root_path)
            async with httpx2.AsyncClient(transport=transport, base_url="http://t") as client:
                return await client.request(method, path, headers={"accept": accept, "accept-encoding": "", **headers})

        return asyncio.run(go())

    return get


@pytest.fixture
def get(folder: Path) -> Get:
    return getter(folder)


def test_the_page_is_at_the_root_and_at_every_address_that_a_browser_asks_for(get: Get) -> None:
    for path in ("/", "/index.html", "/tasks/abc?x=1", "/apis"):
        response = get(path)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        assert 'src="/assets/app-Ab12_cd9.js"' in response.text


@pytest.mark.parametrize(
    "path", ["/api/nix", "/api", "/v1/nix", "/healthz/x", "/metrics/x", "/assets/gone-12345678.js"]
)
def test_an_address_of_the_api_or_a_file_that_is_gone_is_not_the_page(get: Get, path: str) -> None:
    accept = "*/*" if path.startswith("/assets") else "text/html"
    assert get(path, accept=accept).status_code == 404


def test_only_reading_is_answered(get: Get) -> None:
    assert get("/", method="POST").status_code == 404


def test_hashed_files_are_kept_for_ever_and_others_are_asked_for_again(get: Get) -> None:
    assert "immutable" in get("/assets/app-Ab12_cd9.js").headers["cache-control"]
    assert get("/assets/app-Ab12_cd9.js").headers["content-type"].startswith("text/javascript")
    assert get("/mark.svg").headers["cache-control"] == "no-cache"
    assert get("/mark.svg").headers["content-type"].startswith("image/svg+xml")


def test_a_packed_file_is_sent_to_who_takes_it(get: Get) -> None:
    packed = get("/assets/app-Ab12_cd9.js", **{"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == "plain"
    assert packed.headers["content-type"].startswith("text/javascript")
    plain = get("/assets/app-Ab12_cd9.js")
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.key",
        "/%2e%2e/secret.key",
        "/..%2fsecret.key",
        "/assets/%2e%2e/%2e%2e/secret.key",
        "/link",
        "/.hidden",
        "//etc/passwd",
        "/%00",
        "/assets",
    ],
)
def test_nothing_outside_the_folder_is_served(get: Get, path: str) -> None:
    response = get(path, accept="*/*")
    assert response.status_code == 404
    assert "secret" not in response.text
    assert "hidden" not in response.text


def test_below_a_prefix_the_page_finds_its_files(folder: Path) -> None:
    under = getter(folder, "/ops")
    for path in ("/ops/", "/ops", "/", "/ops/tasks/1"):
        assert 'src="/ops/assets/app-Ab12_cd9.js"' in under(path).text
    assert under("/ops/mark.svg").text == "<svg/>"
    assert under("/ops/api/nix").status_code == 404


def test_an_interface_that_is_not_built_says_so(tmp_path: Path) -> None:
    response = getter(tmp_path)("/")
    assert response.status_code == 503
    assert "make install" in response.text
    assert "<script" not in response.text


def test_a_prefix_is_not_a_way_into_the_page(folder: Path) -> None:
    response: Any = getter(folder, '/"><script>')("/")
    assert "<script>" not in response.text
