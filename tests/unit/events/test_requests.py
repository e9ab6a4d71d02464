"""Whoever asks for a page owns what is published for it."""

import asyncio
from typing import Any

import django
import httpx2
import pytest
from django.conf import settings
from fastapi import FastAPI
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware

from orakul.events.context import current_user
from orakul.events.requests import UserMiddleware, django_user


def asked(app: Any, **headers: str) -> list[Any]:
    async def ask() -> list[Any]:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
            return [(await client.get(path, headers=headers)).json() for path in ("/async", "/sync")]

    return asyncio.run(ask())


def shop() -> FastAPI:
    app = FastAPI()

    @app.get("/async")
    async def in_the_loop() -> str | None:
        return current_user()

    @app.get("/sync")
    def in_a_thread() -> str | None:
        return current_user()

    return app


def test_an_asgi_request_belongs_to_whom_the_application_says() -> None:
    app = shop()

    async def user_of(scope: Any) -> str | None:
        return dict(scope["headers"]).get(b"x-user", b"").decode() or None

    app.add_middleware(UserMiddleware, user_of=user_of)
    assert asked(app, **{"X-User": "7"}) == ["7", "7"]
    assert asked(app) == [None, None]
    assert current_user() is None


def test_an_asgi_request_belongs_to_the_user_that_authentication_has_found() -> None:
    class Known(SimpleUser):
        id = 42

    class Backend(AuthenticationBackend):
        async def authenticate(self, conn: Any) -> Any:
            return (AuthCredentials(), Known("ann")) if "x-user" in conn.headers else None

    app = shop()
    app.add_middleware(UserMiddleware)
    app.add_middleware(AuthenticationMiddleware, backend=Backend())
    assert asked(app, **{"X-User": "yes"}) == ["42", "42"]
    assert asked(app) == [None, None]


class Person:
    pk = 7
    is_authenticated = True


class Nobody:
    pk = None
    is_authenticated = False


@pytest.mark.parametrize(("user", "owner"), [(Person(), "7"), (Nobody(), None)])
def test_a_django_request_belongs_to_its_user_in_sync_and_async_stacks(user: Any, owner: str | None) -> None:
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"])
        django.setup()
    from django.http import HttpRequest, HttpResponse

    async def auser() -> Any:
        return user

    request = HttpRequest()
    request.user = user
    request.auser = auser

    async def async_view(_: Any) -> HttpResponse:
        return HttpResponse(str(current_user()))

    assert django_user(lambda _: HttpResponse(str(current_user())))(request).content.decode() == str(owner)
    assert asyncio.run(django_user(async_view)(request)).content.decode() == str(owner)
    assert current_user() is None
    assert django_user.sync_capable
    assert django_user.async_capable
