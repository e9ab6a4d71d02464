"""One HTTP request, as all notifiers send theirs: within a time, to where it was addressed, its failures told apart.

No redirect is followed (a secret would go along), no more than a part of an answer is read, and a failure's text holds
the host and what it answered, never an address with a token in it.
"""

import email.utils
import http.client
import os
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import msgspec

from orakul import __version__
from orakul.reactions.notifier import PassingError, PermanentError

__all__ = ["Answer", "ask", "failure"]

_MOST_READ = 200_000
_SHOWN = 300
_LONGEST_PAUSE = 24 * 3600.0
_AGAIN = frozenset({408, 425, 429})  # clients may repeat these; of the others it is their own request that is wrong
_SERVER = 500


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON, or None where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def ask(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 10.0,
    hide: Callable[[str], str] = str,
    accept: tuple[int, ...] = (),
) -> Answer:
    """Return the answer of a status 2xx, or of one in `accept`; raise what `failure` makes of any other."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PermanentError("the address is not http:// or https:// with a host")
    given = {"User-Agent": f"orakul/{__version__}", **(headers or {})}
    if json is not None:
        body = msgspec.json.encode(json)
        given = {"Content-Type": "application/json", **given}
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, data=body, headers=dict(given), method=method)  # noqa: S310 (checked above)
    where = parts.hostname
    begun = time.monotonic()
    try:
        with opener.open(request, timeout=timeout) as response:
            return Answer(
                status=response.status, headers=_lower(response.headers), body=_read(response, begun, timeout)
            )
    except HTTPError as error:
        with error:
            answer = Answer(status=error.code, headers=_lower(error.headers), body=_read(error, begun, timeout))
        if answer.status in accept:
            return answer
        raise failure(where, answer, hide) from None
    except (URLError, OSError, http.client.HTTPException) as error:
        raise _unreached(where, error, timeout, hide) from None
    except ValueError as error:  # a header or an address that cannot be sent
        raise PermanentError(hide(f"the request to {where} cannot be sent: {error}")) from None


def _read(response: Any, begun: float, timeout: float) -> bytes:
    """Read a part of the answer; one that trickles is not waited for."""
    found = b""
    while len(found) < _MOST_READ:
        if time.monotonic() - begun > timeout:
            raise TimeoutError
        part = response.read1(8192) if hasattr(response, "read1") else response.read(8192)
        if not part:
            break
        found += part
    return found


def failure(where: str, answer: Answer, hide: Callable[[str], str] = str) -> PassingError | PermanentError:
    """Return the error that an answer means: 408, 425, 429 and 5xx pass by, the others do not."""
    text = hide(" ".join(answer.body.decode("utf-8", "replace").split()))[:_SHOWN]
    said = f"{where} answers {answer.status}" + (f": {text}" if text else "")
    if answer.status in _AGAIN or answer.status >= _SERVER:
        return PassingError(said, retry_after=_pause(answer.headers.get("retry-after")))
    if answer.status in {301, 302, 303, 307, 308}:
        said = f"{where} answers {answer.status}, it is elsewhere now: {hide(answer.headers.get('location', '?'))}"
    return PermanentError(said)


def _pause(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which gives them or a date."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (email.utils.parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    return min(max(0.0, seconds), _LONGEST_PAUSE) if seconds == seconds else None  # noqa: PLR0124 (NaN is not itself)


def _unreached(where: str, error: Exception, timeout: float, hide: Callable[[str], str]) -> PassingError:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return PassingError(f"{where} has not answered within {timeout:g} s")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return PassingError(f"{where} shows a certificate that is not trusted: {reason.verify_message}")
    number = reason.errno if isinstance(reason, OSError) and not isinstance(reason, socket.gaierror) else None
    said = os.strerror(number) if number and number > 0 else str(reason)
    return PassingError(hide(f"{where} cannot be reached: {said or type(reason).__name__}"))


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
