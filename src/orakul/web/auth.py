"""Signing in, as dependencies of the routes: who asks, and whether a route is theirs."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from orakul.web.identity import Identity
from orakul.web.parts import StreamPart
from orakul.web.problems import ProblemError, problem_response
from orakul.web.query import refuse_unknown
from orakul.web.session import COOKIE, same_origin
from orakul.web.tokens import InvalidTokenError, Tokens

__all__ = ["Administrator", "Commander", "Overseer", "SignedIn", "StreamDoor", "identify"]

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    scheme_name="bearer",
    description="A token of the house, or from /v1/auth/token.",
)
_cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="cookie", description="What POST /api/session sets; for browsers."
)


def _unauthorized(detail: str, *, error: bool) -> ProblemError:
    challenge = 'Bearer realm="orakul"' + (', error="invalid_token"' if error else "")
    return ProblemError(401, "not-signed-in", detail, headers={"WWW-Authenticate": challenge})


async def identify(connection: HTTPConnection, tokens: Tokens) -> Identity:
    """Return who sent a request; raise a 401 problem. A bearer token counts before a cookie."""
    header = connection.headers.get("authorization")
    if header is not None:
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() != "bearer" or not credentials.strip():
            raise _unauthorized("Authorization must be `Bearer <token>`.", error=True)
        return await _check(tokens, credentials.strip(), by_cookie=False)
    cookie = connection.cookies.get(COOKIE)
    if cookie:
        return await _check(tokens, cookie, by_cookie=True)
    raise _unauthorized("Sign in: send a bearer token, or the session's cookie.", error=False)


async def _check(tokens: Tokens, token: str, *, by_cookie: bool) -> Identity:
    check = tokens.identify_session if by_cookie else tokens.identify
    try:
        identity = await run_in_threadpool(check, token) if tokens.may_wait else check(token)
    except InvalidTokenError as error:
        raise _unauthorized(str(error), error=True) from error
    if by_cookie:
        return Identity(
            user_id=identity.user_id,
            username=identity.username,
            role=identity.role,
            expires_at=identity.expires_at,
            by_cookie=True,
        )
    return identity


def require_same_origin(request: Request) -> None:
    """Refuse a command that a foreign page could have made the browser send."""
    if request.method not in _SAFE and not same_origin(request):
        raise ProblemError(
            403,
            "cross-site",
            "A command with the session's cookie must come from Orakul's own page (Sec-Fetch-Site, Origin).",
        )


async def _signed_in(
    request: Request,
    _by_bearer: Annotated[object, Depends(_bearer)],
    _by_cookie: Annotated[object, Depends(_cookie)],
) -> Identity:
    identity = await identify(request, request.app.state.tokens)
    if identity.by_cookie:
        require_same_origin(request)
    refuse_unknown(request)
    return identity


SignedIn = Annotated[Identity, Depends(_signed_in)]


async def _commander(identity: SignedIn) -> Identity:
    if not identity.may_command:
        raise ProblemError(403, "forbidden", "A viewer sees everything and commands nothing.")
    return identity


async def _overseer(identity: SignedIn) -> Identity:
    if not identity.sees_all:
        raise ProblemError(403, "forbidden", "This is for administrators and viewers.")
    return identity


async def _administrator(identity: SignedIn) -> Identity:
    if not identity.is_admin:
        raise ProblemError(403, "forbidden", "This is for administrators.")
    return identity


Commander = Annotated[Identity, Depends(_commander)]
Overseer = Annotated[Identity, Depends(_overseer)]
Administrator = Annotated[Identity, Depends(_administrator)]


class StreamDoor:
    """The stream's door: it lets in who is signed in, and tells the stream who it is."""

    def __init__(self, tokens: Tokens, stream: StreamPart | None) -> None:
        self._tokens = tokens
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the connection, then hand it on with `scope["orakul.identity"]`."""
        try:
            scope["orakul.identity"] = await identify(HTTPConnection(scope), self._tokens)
        except ProblemError as error:
            await problem_response(error)(scope, receive, send)
            return
        if self._stream is None:
            away = ProblemError(
                503, "stream-unavailable", "The stream does not run here.", headers={"Retry-After": "5"}
            )
            await problem_response(away)(scope, receive, send)
            return
        await self._stream(scope, receive, send)
