"""The session's cookie: a token that a browser keeps where no script can read it."""

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["COOKIE", "clear_cookie", "same_origin", "set_cookie"]

COOKIE = "orakul_session"


def set_cookie(request: Request, response: Response, token: str, seconds: int) -> None:
    """Give the browser the cookie, for our own paths only."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=seconds,
        path=_path(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def clear_cookie(request: Request, response: Response) -> None:
    """Take the cookie away."""
    secure = request.url.scheme == "https"
    response.delete_cookie(COOKIE, path=_path(request), secure=secure, httponly=True, samesite="strict")


def same_origin(request: Request) -> bool:
    """Return whether the browser says that the request comes from our own page.

    `Sec-Fetch-Site` cannot be forged by a page; `none` is the user's own doing. Browsers send it to
    secure addresses only, so elsewhere `Origin` must name the host that is asked. With neither, the answer is no.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    if origin is None or "://" not in origin:
        return False
    scheme, _, host = origin.partition("://")
    default = {"http": ":80", "https": ":443"}.get(scheme, "")
    asked = request.headers.get("host", "").lower().removesuffix(default)
    return bool(asked) and host.lower().removesuffix(default) == asked


def _path(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/") + "/"
