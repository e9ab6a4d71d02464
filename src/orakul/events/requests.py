"""Whose request it is, so that what is published while it is served belongs to them.

FastAPI, Starlette, any ASGI application:

    app.add_middleware(UserMiddleware, user_of=lambda scope: scope["session"].get("user_id"))

Django, below its AuthenticationMiddleware:

    MIDDLEWARE = [..., "orakul.events.requests.django_user"]
"""

from collections.abc import Awaitable, Callable, MutableMapping
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from orakul.events.context import as_user

__all__ = ["UserMiddleware", "django_user"]

Scope = MutableMapping[str, Any]
UserId = str | int | None


class UserMiddleware:
    """Serves each request as its user.

    `user_of(scope)` returns the user's id, or None; it may be async. Left out, it is the `id` or `identity` of the
    user that an authentication middleware further out has found (`scope["user"]`).
    """

    def __init__(self, app: Any, user_of: Callable[[Scope], UserId | Awaitable[UserId]] | None = None) -> None:
        self._app = app
        self._user_of = user_of or _found

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        user = self._user_of(scope)
        if isawaitable(user):
            user = await user
        with as_user(user):
            await self._app(scope, receive, send)


def django_user(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Serve each request of Django as `request.user`, in sync and async stacks."""
    if iscoroutinefunction(get_response):

        async def serve_async(request: Any) -> Any:
            user = await request.auser() if hasattr(request, "auser") else None
            with as_user(_key(user)):
                return await get_response(request)

        return serve_async

    def serve(request: Any) -> Any:
        with as_user(_key(getattr(request, "user", None))):
            return get_response(request)

    return serve


# What Django reads to know that both kinds of stack will do.
django_user.sync_capable = True  # type: ignore[attr-defined]
django_user.async_capable = True  # type: ignore[attr-defined]


def _key(user: Any) -> UserId:
    if user is None or not getattr(user, "is_authenticated", False):
        return None
    key: UserId = user.pk
    return key


def _found(scope: Scope) -> UserId:
    user = scope.get("user")
    if user is None or not getattr(user, "is_authenticated", True):
        return None
    for name in ("id", "pk", "identity"):
        try:
            value = getattr(user, name, None)
        except NotImplementedError:  # Starlette's users promise an identity, and not all have one
            continue
        if isinstance(value, (str, int)):
            return value
    return None
