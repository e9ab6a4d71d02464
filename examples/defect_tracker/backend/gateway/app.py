"""One address for both services: `POST /v1/auth/token` here, everything else where it belongs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx2
from fastapi import FastAPI, Form, HTTPException, Request, Response

from backend.gateway.users import add_first_people, authenticate
from backend.shared import settings
from backend.shared.database import migrate
from backend.shared.identity import issue
from backend.shared.logs import set_up_logs

__all__ = ["app"]

SERVICES = {"projects": settings.PROJECTS_URL, "defects": settings.DEFECTS_URL}
LARGEST = 1 << 20
_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade", "trailer"}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    set_up_logs()
    migrate("users", Path(__file__).parent / "migrations")
    add_first_people()
    async with httpx2.AsyncClient(timeout=30.0, trust_env=False) as client:
        app.state.client = client
        yield


app = FastAPI(title="Defect tracker", lifespan=_lifespan)


@app.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the gateway is there."""
    return {"status": "ok"}


@app.post("/v1/auth/token")
def token(username: Annotated[str, Form()], password: Annotated[str, Form()]) -> dict[str, str]:
    """Sign in (OAuth2 password flow)."""
    person = authenticate(username, password)
    if person is None:
        raise HTTPException(401, "The name or the password is wrong.", headers={"WWW-Authenticate": "Bearer"})
    return {"access_token": issue(person), "token_type": "bearer"}


@app.api_route("/v1/{service}", methods=["GET", "POST", "PUT", "DELETE"], include_in_schema=False)
@app.api_route("/v1/{service}/{rest:path}", methods=["GET", "POST", "PUT", "DELETE"], include_in_schema=False)
async def pass_on(service: str, request: Request, rest: str = "") -> Response:
    """Pass a request on to the service whose it is, and its answer back."""
    base = SERVICES.get(service)
    if base is None:
        raise HTTPException(
            404, f"There is no /v1/{service}/ here; there are: {', '.join(sorted(SERVICES))}, auth/token."
        )
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST:
            raise HTTPException(413, f"The body is larger than {LARGEST:,} bytes.")
    client: httpx2.AsyncClient = request.app.state.client
    headers = [(name, value) for name, value in request.headers.items() if name not in _NOT_PASSED_ON]
    try:
        answer = await client.request(
            request.method,
            f"{base}/v1/{service}/{rest}",
            params=request.query_params.multi_items(),
            headers=headers,
            content=bytes(body),
        )
    except httpx2.HTTPError as error:
        raise HTTPException(502, f"The service of {service} does not answer: try again in a moment.") from error
    kept = {
        name: value
        for name, value in answer.headers.items()
        if name not in _NOT_PASSED_ON and name != "content-encoding"
    }
    return Response(answer.content, answer.status_code, kept)
