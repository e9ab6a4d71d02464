"""The built interface: its files, and its page for every address that is the interface's own."""

import mimetypes
import re
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

__all__ = ["INTERFACE", "Pages"]

INTERFACE = Path(__file__).parent / "interface"

_API = ("/api", "/v1", "/metrics", "/healthz", "/readyz", "/openapi.json")
_ENCODINGS: Sequence[tuple[str, str]] = (("br", ".br"), ("gzip", ".gz"))
_YEAR = "public, max-age=31536000, immutable"
_HASHED = re.compile(r"-[A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_ROOTED = re.compile(r'(\b(?:src|href)=")(?:\./|/)(?!/)')

_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Orakul</title>
<body><h1>The interface is not built</h1>
<p>Orakul itself runs: its API answers, see <a href="{root}/openapi.json">the OpenAPI document</a>.</p>
<p>To build the page: <code>make install</code> in a clone, or install a released package, which has it inside.</p>
"""


class Pages:
    """What is served where no route fits: a file of the interface, its page, or a problem."""

    def __init__(self, folder: Path = INTERFACE) -> None:
        self._folder = folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file or the page; raise 404 for what is neither."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        request = Request(scope)
        response = self._answer(request)
        if response is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        root = str(request.scope.get("root_path", "")).rstrip("/")
        path = request.url.path.removeprefix(root)
        if any(path == prefix or path.startswith(prefix + "/") for prefix in _API):
            return None
        if request.method not in {"GET", "HEAD"}:
            return None
        name = path.strip("/")
        if name and name != "index.html":
            found = self._file(name)
            if found is not None:
                return _file_response(request, found, name)
        accepted = request.headers.get("accept", "")
        wants_page = "text/html" in accepted or (name in {"", "index.html"} and "*/*" in (accepted or "*/*"))
        return self._page(root) if wants_page else None

    def _file(self, name: str) -> Path | None:
        if "\0" in name or any(part.startswith(".") for part in name.split("/")):
            return None
        found = (self._folder / name).resolve()
        return found if found.is_relative_to(self._folder) and found.is_file() else None

    def _page(self, root: str) -> Response:
        safe = quote(root)
        try:
            text = (self._folder / "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:
            body = _NOT_BUILT.format(root=safe)
            return Response(body, HTTPStatus.SERVICE_UNAVAILABLE, media_type="text/html; charset=utf-8")
        # The page finds its files wherever a proxy has put us, and however deep the address is.
        text = _ROOTED.sub(rf"\g<1>{safe}/", text)
        return Response(text, media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})


def _file_response(request: Request, found: Path, name: str) -> Response:
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if media_type == "text/javascript" or name.endswith(".js"):
        media_type = "text/javascript; charset=utf-8"
    headers = {"Cache-Control": _YEAR if _HASHED.search(name) else "no-cache", "Vary": "Accept-Encoding"}
    accepted = {part.split(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
    for encoding, suffix in _ENCODINGS:
        packed = found.with_name(found.name + suffix)
        if encoding in accepted and packed.is_file():
            headers["Content-Encoding"] = encoding
            return FileResponse(packed, media_type=media_type, headers=headers)
    return FileResponse(found, media_type=media_type, headers=headers)
