"""Signing in: tokens for Orakul's own users, the session's cookie, who is signed in, what the page needs to know."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from orakul import __version__
from orakul.web import views
from orakul.web.auth import SignedIn
from orakul.web.document import JsonResponse, answers
from orakul.web.given import TheDoor, TheParts, TheTokens
from orakul.web.problems import ProblemError
from orakul.web.query import refuse_unknown
from orakul.web.session import clear_cookie, set_cookie

__all__ = ["router"]

router = APIRouter(tags=["sign-in"], default_response_class=JsonResponse)


@router.post(
    "/v1/auth/token",
    summary="A token for one of Orakul's own users",
    operation_id="token",
    dependencies=[Depends(refuse_unknown)],
    responses=answers(views.TokenGrant, "The token.", 401, 422, 429, 503),
)
def token(
    request: Request,
    parts: TheParts,
    door: TheDoor,
    tokens: TheTokens,
    *,
    username: Annotated[str, Form(min_length=1, max_length=255)],
    password: Annotated[str, Form(min_length=1, max_length=1024)],
    grant_type: Annotated[str | None, Form(pattern="^password$", description="OAuth2: `password`.")] = None,
    scope: Annotated[str, Form(description="OAuth2: not used.")] = "",  # noqa: ARG001 (clients send it)
    client_id: Annotated[str | None, Form(description="OAuth2: not used.")] = None,  # noqa: ARG001 (clients send it)
    client_secret: Annotated[str | None, Form(description="OAuth2: not used.")] = None,  # noqa: ARG001 (clients send it)
) -> Response:
    """Sign in with name and password (OAuth2 password flow). Failures slow down what follows."""
    del grant_type
    if parts.accounts is None:
        raise ProblemError(404, "no-accounts", "Orakul has no users of its own here; bring a token of your house.")
    address = request.client.host if request.client else ""
    with door.trial(username, address) as trial:
        account = None if "\0" in username else parts.accounts.authenticate(username, password)
        trial.succeeded = account is not None
    if account is None:
        headers = {"WWW-Authenticate": 'Bearer realm="orakul"'}
        raise ProblemError(401, "wrong-credentials", "The name or the password is wrong.", headers=headers)
    issued, seconds = tokens.issue(account.user_id, username=account.username, role=account.role)
    return JsonResponse(views.TokenGrant(access_token=issued, token_type="bearer", expires_in=seconds))  # noqa: S106 (the type's name)


@router.post(
    "/api/session",
    summary="Swap a token for the session's cookie",
    operation_id="openSession",
    responses=answers(views.Me, "Signed in; the cookie is set.", 401, 403, 503),
)
def open_session(request: Request, identity: SignedIn, tokens: TheTokens) -> Response:
    """Swap the bearer token for an HttpOnly cookie, since `EventSource` sends no headers."""
    issued, seconds = tokens.issue_session(identity)
    response = JsonResponse(_me(identity))
    set_cookie(request, response, issued, seconds)
    return response


@router.delete(
    "/api/session",
    summary="Sign out",
    operation_id="closeSession",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Signed out; the cookie is gone."}, **answers(None, "", 401, 403, 503)},
)
def close_session(request: Request, _identity: SignedIn) -> Response:
    """Take the cookie away."""
    response = Response(status_code=204)
    clear_cookie(request, response)
    return response


@router.get(
    "/api/me",
    summary="Who is signed in",
    operation_id="me",
    responses=answers(views.Me, "Who asks.", 401, 503),
)
def me(identity: SignedIn) -> Response:
    """Return who is signed in."""
    return JsonResponse(_me(identity))


@router.get(
    "/api/settings",
    summary="What the interface needs to know",
    operation_id="settings",
    responses=answers(views.Settings, "The settings.", 401, 503),
)
def settings(parts: TheParts, _identity: SignedIn) -> Response:
    """Return what the interface needs to know of the settings."""
    shown = views.Settings(
        version=__version__,
        trace_url=parts.settings.trace_url,
        locale=parts.settings.locale,
        locales=["en", "ru"],
    )
    return JsonResponse(shown)


def _me(identity: SignedIn) -> views.Me:
    return views.Me(user_id=identity.user_id, username=identity.username, role=str(identity.role))
