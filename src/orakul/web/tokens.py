"""JSON Web Tokens: those of the house, and Orakul's own.

The algorithms are pinned to the kind of key that is configured, before a token is looked at: `alg: none` and a public
key used as an HMAC secret are refused by construction.
"""

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry

from orakul.errors import SettingsError
from orakul.web.identity import Identity, Role, role_from
from orakul.web.jwks import RemoteKeys
from orakul.web.parts import TokenSettings

__all__ = ["InvalidTokenError", "Tokens"]

_LONGEST = 16_384
_LONGEST_ID = 255


class InvalidTokenError(Exception):
    """A token that is not good; the message may be told to who brought it."""


class _Registry(JWSRegistry):
    # A house's tokens carry certificates and headers of their own.
    max_header_length = 8_192

    def __init__(self, algorithms: Collection[str]) -> None:
        super().__init__(algorithms=list(algorithms), strict_check_header=False)


class _Check:
    """One way in which a token may be good: a key, the algorithms it is for, and the claims demanded."""

    def __init__(
        self, key: Any, algorithms: Collection[str], claims: Mapping[str, str | None], *, must_expire: bool = True
    ) -> None:
        self._key = key
        self._must_expire = must_expire
        self._registry = _Registry(algorithms)
        self._claims = claims
        self.remote = isinstance(key, RemoteKeys)

    def claims(self, token: str, leeway: float) -> dict[str, Any]:
        key = self._key.choose if isinstance(self._key, RemoteKeys) else self._key
        try:
            found = jwt.decode(token, key, registry=self._registry).claims
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidTokenError("The token's signature is not good.") from error
        _check_times(found, leeway)
        if self._must_expire and found.get("exp") is None:
            raise InvalidTokenError("The token never expires (it has no `exp`): such are not taken here.")
        for name, wanted in self._claims.items():
            given = found.get(name)
            if wanted is not None and wanted != given and not (isinstance(given, list) and wanted in given):
                raise InvalidTokenError(f"The token's `{name}` is not the one that is demanded here.")
        return found


class Tokens:
    """Checks tokens, and issues Orakul's own."""

    def __init__(
        self, secret_key: bytes, settings: TokenSettings, *, fetch: Callable[[str], bytes] | None = None
    ) -> None:
        self._settings = settings
        self._own = OctKey.import_key(secret_key)
        self._session = OctKey.import_key(hmac.digest(secret_key, b"orakul session", hashlib.sha256))
        self._checks = [_Check(self._own, ("HS256",), {})]
        house = _house(settings, fetch)
        if house is not None:
            self._checks.append(house)
        self._session_check = _Check(self._session, ("HS256",), {"aud": "orakul-session"})

    @property
    def may_wait(self) -> bool:
        """Return whether a check may fetch keys, and so must not run on the event loop."""
        return any(check.remote for check in self._checks)

    def identify(self, token: str) -> Identity:
        """Return who the bearer is; raise InvalidTokenError."""
        return self._identify(token, self._checks)

    def identify_session(self, token: str) -> Identity:
        """Return who the cookie's bearer is: it holds our session's token, or one that is good by itself."""
        return self._identify(token, [self._session_check, *self._checks])

    def issue(self, user_id: str, *, username: str, role: str, lifetime: float | None = None) -> tuple[str, int]:
        """Return a token for one of Orakul's own users, and for how many seconds it is good."""
        seconds = int(self._settings.lifetime if lifetime is None else lifetime)
        now = int(time.time())
        claims = {"sub": user_id, "preferred_username": username, "role": role, "iat": now, "exp": now + seconds}
        return jwt.encode({"alg": "HS256"}, claims, self._own), seconds

    def issue_session(self, identity: Identity) -> tuple[str, int]:
        """Return the cookie's token, which ends no later than the token it was swapped for, and its seconds."""
        now = time.time()
        end = now + self._settings.lifetime
        if identity.expires_at is not None:
            end = min(end, identity.expires_at)
        claims = {
            "sub": identity.user_id,
            "preferred_username": identity.username,
            "role": str(identity.role),
            "aud": "orakul-session",
            "iat": int(now),
            "exp": int(end),
        }
        return jwt.encode({"alg": "HS256"}, claims, self._session), max(0, int(end - now))

    def _identify(self, token: str, checks: list[_Check]) -> Identity:
        if len(token) > _LONGEST:
            raise InvalidTokenError("The token is longer than any that is taken here.")
        reason = InvalidTokenError("The token's signature is not good.")
        for check in checks:
            try:
                return _identity(check.claims(token, self._settings.leeway))
            except InvalidTokenError as error:
                # Where a key fitted, what it said against the token is worth more than that another did not fit.
                if error.__cause__ is None:
                    reason = error
        raise reason


def _house(settings: TokenSettings, fetch: Callable[[str], bytes] | None) -> _Check | None:
    claims = {"iss": settings.issuer, "aud": settings.audience}
    given = [name for name in ("secret", "public_key", "jwks_url") if getattr(settings, name)]
    if len(given) > 1:
        raise SettingsError(f"jwt: only one of {', '.join(given)} can be set")
    if settings.secret:
        algorithms = _pinned(settings, ("HS256", "HS384", "HS512"), "HS256")
        return _Check(OctKey.import_key(settings.secret), algorithms, claims, must_expire=settings.require_expiry)
    if settings.public_key:
        key, algorithms = _public_key(settings)
        return _Check(key, algorithms, claims, must_expire=settings.require_expiry)
    if settings.jwks_url:
        algorithms = _pinned(settings, ("RS256", "ES256", "RS384", "RS512", "ES384", "PS256"), None)
        remote = RemoteKeys(settings.jwks_url, algorithms, fetch=fetch)
        return _Check(remote, algorithms, claims, must_expire=settings.require_expiry)
    return None


def _pem(text: str) -> str:
    if "-----BEGIN" in text:
        return text
    try:
        return Path(text).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise SettingsError(f"jwt.public_key is neither PEM text nor a PEM file that can be read: {error}") from error


def _public_key(settings: TokenSettings) -> tuple[RSAKey | ECKey, tuple[str, ...]]:
    pem = _pem(str(settings.public_key))
    try:
        rsa = RSAKey.import_key(pem)
    except (JoseError, ValueError, TypeError):
        pass
    else:
        return rsa, _pinned(settings, ("RS256", "RS384", "RS512", "PS256"), "RS256")
    try:
        curve = ECKey.import_key(pem)
    except (JoseError, ValueError, TypeError) as error:
        raise SettingsError("jwt.public_key is not an RSA or EC public key in PEM form") from error
    return curve, _pinned(settings, ("ES256", "ES384"), "ES256")


def _pinned(settings: TokenSettings, possible: tuple[str, ...], usual: str | None) -> tuple[str, ...]:
    wanted = settings.algorithm
    if wanted is None:
        return possible[:2] if usual is None else (usual,)
    if wanted not in possible:
        raise SettingsError(f"jwt.algorithm {wanted} does not fit the key; possible are {', '.join(possible)}")
    return (wanted,)


def _check_times(claims: Mapping[str, Any], leeway: float) -> None:
    now = time.time()
    expires, not_before, issued = (_moment(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is not None and now >= expires + leeway:
        raise InvalidTokenError("The token has expired; sign in again.")
    if not_before is not None and now < not_before - leeway:
        raise InvalidTokenError("The token is not good yet (`nbf`).")
    if issued is not None and now < issued - leeway:
        raise InvalidTokenError("The token was issued in the future (`iat`): a clock is wrong.")


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidTokenError(f"The token's `{name}` is not a number.")
    if not math.isfinite(value):
        raise InvalidTokenError(f"The token's `{name}` is not a moment.")
    return float(value)


def _identity(claims: Mapping[str, Any]) -> Identity:
    subject = claims.get("sub")
    if isinstance(subject, int) and not isinstance(subject, bool):
        subject = str(subject)
    if not isinstance(subject, str) or not subject or "\0" in subject or len(subject) > _LONGEST_ID:
        raise InvalidTokenError("The token does not say whose it is (`sub`).")
    names = (claims.get(name) for name in ("preferred_username", "username", "name"))
    username = next((name for name in names if isinstance(name, str) and name), subject)
    role: Role = role_from(claims.get("role"), claims.get("roles"))
    return Identity(user_id=subject, username=username, role=role, expires_at=_moment(claims, "exp"))
