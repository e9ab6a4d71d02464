"""Public keys fetched from the house's JWKS address: kept, and fetched again when a token names one unknown."""

import logging
import threading
import time
import urllib.request
from collections.abc import Callable, Collection
from http.client import HTTPException
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from orakul.errors import SettingsError, UnavailableError

__all__ = ["RemoteKeys"]

_log = logging.getLogger(__name__)

_TIMEOUT = 5.0
_LARGEST = 1_000_000
_FRESH = 3_600.0
_PAUSE = 10.0
_AWAY = "The keys that tokens are checked with cannot be fetched now."

PublicKey = RSAKey | ECKey


def _fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 (checked in __init__)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 (the scheme is checked in __init__)
        return bytes(answer.read(_LARGEST))


class RemoteKeys:
    """The keys at a JWKS address.

    Fetched at the first token, then once an hour, and when a token names a key that is not there; never more often than
    once in ten seconds, so that tokens with made-up key ids cannot make us ask without end. Where the address
    is away, the keys known so far stay good.
    """

    def __init__(self, url: str, algorithms: Collection[str], *, fetch: Callable[[str], bytes] | None = None) -> None:
        if not url.startswith(("https://", "http://")):
            raise SettingsError(f"jwt.jwks_url is not an http address: {url}")
        self._url = url
        self._algorithms = frozenset(algorithms)
        self._fetch = fetch or _fetch
        self._keys: list[PublicKey] = []
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = threading.Lock()

    def choose(self, guest: Any) -> PublicKey:
        """Return the key for a token, by its `kid` and `alg`; raise ValueError where there is none."""
        headers = guest.headers()
        wanted, algorithm = headers.get("kid"), str(headers.get("alg"))
        if algorithm not in self._algorithms:
            raise ValueError("not an algorithm of ours")
        if time.monotonic() - self._fetched_at > _FRESH:
            # One renews what is known and old; nobody waits for it.
            self._refresh(wait=not self._keys)
        found = self._find(wanted, algorithm)
        if found is None:
            self._refresh(wait=True)
            found = self._find(wanted, algorithm)
        if found is None:
            raise ValueError("no such key")
        return found

    def _find(self, wanted: object, algorithm: str) -> PublicKey | None:
        kind: type[PublicKey] = ECKey if algorithm.startswith("ES") else RSAKey
        fitting = [key for key in self._keys if isinstance(key, kind)]
        if wanted is None:
            # Without a name it must be plain which key is meant.
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.kid == wanted), None)

    def _refresh(self, *, wait: bool) -> None:
        if not self._lock.acquire(timeout=_TIMEOUT if wait else 0):
            if wait:
                raise UnavailableError(_AWAY)
            return
        try:
            self._fetch_now()
        finally:
            self._lock.release()

    def _fetch_now(self) -> None:
        now = time.monotonic()
        if now - self._tried_at < _PAUSE:
            if not self._keys:
                raise UnavailableError(_AWAY)
            return
        self._tried_at = now
        try:
            self._keys = _read(self._fetch(self._url))
        except (OSError, ValueError, HTTPException, msgspec.MsgspecError) as error:
            _log.warning("the keys at %s cannot be fetched: %s", self._url, error)
            if not self._keys:
                raise UnavailableError(_AWAY) from error
        else:
            self._fetched_at = now


def _read(text: bytes) -> list[PublicKey]:
    form = msgspec.json.decode(text, type=dict[str, Any])
    keys: list[PublicKey] = []
    for entry in form.get("keys", []):
        if not isinstance(entry, dict) or entry.get("use") not in {None, "sig"}:
            continue
        try:
            if entry.get("kty") == "RSA":
                keys.append(
                    RSAKey.import_key({name: entry[name] for name in ("kty", "n", "e", "kid") if name in entry})
                )
            elif entry.get("kty") == "EC":
                names = ("kty", "crv", "x", "y", "kid")
                keys.append(ECKey.import_key({name: entry[name] for name in names if name in entry}))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            _log.warning("a key of the JWKS cannot be read: %s", error)
    return keys
