"""Which tokens are good, and which are not, whatever they say of themselves."""

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from orakul.errors import SettingsError, UnavailableError
from orakul.web.identity import Role
from orakul.web.parts import TokenSettings
from orakul.web.tokens import InvalidTokenError, Tokens

OWN = b"o" * 32
RSA = RSAKey.generate_key(2048, {"kid": "r1"})
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "r1"})
CURVE = ECKey.generate_key("P-256", {"kid": "e1"})


def signed(key: Any, alg: str = "HS256", /, kid: str | None = None, **claims: Any) -> str:
    header = {"alg": alg} if kid is None else {"alg": alg, "kid": kid}
    return jwt.encode(header, {"sub": "7", "exp": int(time.time()) + 86_400, **claims}, key, algorithms=[alg])


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None = None) -> str:
    def part(form: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(form).encode()).rstrip(b"=").decode()

    text = f"{part(header)}.{part(claims)}"
    mac = b"" if secret is None else hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def house(**settings: Any) -> Tokens:
    return Tokens(OWN, TokenSettings(**settings))


def pem(key: Any) -> str:
    return key.as_pem(private=False).decode()


def test_a_token_issued_here_is_good_and_says_who_it_is_for() -> None:
    tokens = house()
    token, seconds = tokens.issue("42", username="ann", role="viewer")
    found = tokens.identify(token)
    assert (found.user_id, found.username, found.role) == ("42", "ann", Role.VIEWER)
    assert seconds == 12 * 3600
    assert found.expires_at == pytest.approx(time.time() + seconds, abs=5)


@pytest.mark.parametrize(
    ("settings", "token"),
    [
        ({}, signed(OctKey.import_key(OWN))),
        ({"secret": "s" * 32}, signed(OctKey.import_key("s" * 32))),
        ({"public_key": pem(RSA)}, signed(RSA, "RS256")),
        ({"public_key": pem(CURVE)}, signed(CURVE, "ES256")),
        ({"issuer": "house", "audience": "a", "secret": "s" * 32},
         signed(OctKey.import_key("s" * 32), iss="house", aud=["b", "a"])),
    ],
)  # fmt: skip
def test_a_token_of_the_configured_key_is_good(settings: dict[str, Any], token: str) -> None:
    assert house(**settings).identify(token).user_id == "7"


SOON = int(time.time()) + 86_400

BAD = {
    "garbage": "garbage",
    "empty": "",
    "dots": "..",
    "not base64": "ä.ö.ü",
    "another's key": signed(OctKey.import_key("x" * 32)),
    "alg none": by_hand({"alg": "none"}, {"sub": "7", "role": "admin", "exp": SOON}),
    "alg NONE": by_hand({"alg": "NONE"}, {"sub": "7", "role": "admin", "exp": SOON}),
    "alg none, signed": by_hand({"alg": "none"}, {"sub": "7", "exp": SOON}, OWN),
    "no alg": by_hand({}, {"sub": "7", "exp": SOON}, OWN),
    "alg a number": by_hand({"alg": 7}, {"sub": "7", "exp": SOON}, OWN),
    "claims a list": by_hand({"alg": "HS256"}, ["sub"], OWN),  # type: ignore[arg-type]
    "crit unknown": by_hand({"alg": "HS256", "crit": ["exotic"], "exotic": 1}, {"sub": "7", "exp": SOON}, OWN),
    "own key within": by_hand(
        {"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}, {"sub": "7", "exp": SOON}, b"\0\0\0"
    ),
    "expired": signed(OctKey.import_key(OWN), exp=int(time.time()) - 60),
    "expires as text": signed(OctKey.import_key(OWN), exp="tomorrow"),
    "has no expiry": by_hand({"alg": "HS256"}, {"sub": "7"}, OWN),
    "expires never": by_hand({"alg": "HS256"}, {"sub": "7", "exp": float("inf")}, OWN),
    "not yet": signed(OctKey.import_key(OWN), nbf=SOON),
    "issued tomorrow": signed(OctKey.import_key(OWN), iat=SOON),
    "nobody's": signed(OctKey.import_key(OWN), sub=None),
    "empty sub": signed(OctKey.import_key(OWN), sub=""),
    "sub a list": signed(OctKey.import_key(OWN), sub=["7"]),
    "sub true": signed(OctKey.import_key(OWN), sub=True),
    "sub with NUL": signed(OctKey.import_key(OWN), sub="7\0"),
    "endless": "a" * 20_000,
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "settings",
    [{}, {"secret": "s" * 32}, {"public_key": pem(RSA)}, {"public_key": pem(CURVE)}],
    ids=["own", "secret", "rsa", "curve"],
)
def test_a_token_that_is_not_good_is_refused_whatever_key_is_configured(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidTokenError):
        house(**settings).identify(BAD[name])


def test_the_public_key_is_no_secret_for_hmac() -> None:
    text = pem(RSA)
    for form in (text, text.strip(), text.replace("\n", "")):
        token = by_hand({"alg": "HS256"}, {"sub": "7", "role": "admin", "exp": SOON}, form.encode())
        with pytest.raises(InvalidTokenError):
            house(public_key=text).identify(token)


def test_the_algorithm_is_pinned_even_where_the_key_could_do_another() -> None:
    with pytest.raises(InvalidTokenError):
        house(public_key=pem(RSA)).identify(signed(RSA, "RS512"))
    with pytest.raises(InvalidTokenError):
        house(secret="s" * 32).identify(signed(OctKey.import_key("s" * 32), "HS512"))


@pytest.mark.parametrize(("claim", "value"), [("iss", "elsewhere"), ("iss", None), ("aud", ["b"]), ("aud", None)])
def test_issuer_and_audience_are_demanded_where_they_are_set(claim: str, value: Any) -> None:
    claims = {"iss": "house", "aud": "a", claim: value}
    with pytest.raises(InvalidTokenError, match=claim):
        house(secret="s" * 32, issuer="house", audience="a").identify(signed(OctKey.import_key("s" * 32), **claims))


def test_clocks_may_differ_a_little() -> None:
    key, now = OctKey.import_key(OWN), int(time.time())
    assert house(leeway=10).identify(signed(key, exp=now - 5, nbf=now + 5, iat=now + 5)).user_id == "7"


def test_an_expired_token_is_told_so_and_no_other() -> None:
    with pytest.raises(InvalidTokenError, match="expired"):
        house(public_key=pem(RSA)).identify(BAD["expired"])
    with pytest.raises(InvalidTokenError, match="signature"):
        house().identify(signed(OctKey.import_key("x" * 32), exp=1))


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({}, Role.USER),
        ({"role": "admin"}, Role.ADMIN),
        ({"role": "viewer"}, Role.VIEWER),
        ({"role": "administrator"}, Role.USER),
        ({"role": "Admin"}, Role.USER),
        ({"roles": ["viewer", "admin"]}, Role.ADMIN),
        ({"roles": "viewer user"}, Role.VIEWER),
        ({"role": "user", "roles": ["viewer"]}, Role.VIEWER),
        ({"role": {"admin": True}}, Role.USER),
        ({"roles": [["admin"], 1, None]}, Role.USER),
    ],
)
def test_the_role_is_the_strongest_that_is_named(claims: dict[str, Any], role: Role) -> None:
    assert house().identify(signed(OctKey.import_key(OWN), **claims)).role is role


def test_a_session_ends_with_the_token_that_it_was_swapped_for() -> None:
    tokens = house()
    identity = tokens.identify(signed(OctKey.import_key(OWN), exp=int(time.time()) + 30, role="admin"))
    cookie, seconds = tokens.issue_session(identity)
    assert seconds <= 30
    again = tokens.identify_session(cookie)
    assert (again.user_id, again.role, again.expires_at) == ("7", Role.ADMIN, identity.expires_at)


def test_a_sessions_token_is_no_bearer_token() -> None:
    tokens = house()
    cookie, _ = tokens.issue_session(tokens.identify(signed(OctKey.import_key(OWN))))
    with pytest.raises(InvalidTokenError):
        tokens.identify(cookie)


class KeySet:
    """A JWKS address that counts how often it is asked."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.away = False

    def __call__(self, _url: str) -> bytes:
        self.asked += 1
        if self.away:
            raise OSError("no route to host")
        return json.dumps({"keys": [{**key.as_dict(private=False), "use": "sig"} for key in self.keys]}).encode()


def remote(keys: KeySet) -> Tokens:
    return Tokens(OWN, TokenSettings(jwks_url="https://id.example.com/keys"), fetch=keys)


def test_keys_are_fetched_once_and_tokens_of_each_are_good() -> None:
    keys = KeySet(RSA, CURVE)
    tokens = remote(keys)
    for token in (signed(RSA, "RS256", kid="r1"), signed(CURVE, "ES256", kid="e1"), signed(RSA, "RS256")):
        assert tokens.identify(token).user_id == "7"
    assert keys.asked == 1


def test_a_new_key_is_fetched_when_a_token_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orakul.web.jwks._PAUSE", 0.0)
    keys = KeySet(RSA)
    tokens = remote(keys)
    tokens.identify(signed(RSA, "RS256", kid="r1"))
    keys.keys = [CURVE]
    assert tokens.identify(signed(CURVE, "ES256", kid="e1")).user_id == "7"
    with pytest.raises(InvalidTokenError):
        tokens.identify(signed(RSA, "RS256", kid="r1"))


def test_made_up_key_names_do_not_make_us_ask_without_end() -> None:
    keys = KeySet(RSA)
    tokens = remote(keys)
    for number in range(50):
        with pytest.raises(InvalidTokenError):
            tokens.identify(signed(OTHER_RSA, "RS256", kid=f"k{number}"))
    assert keys.asked == 1


def test_tokens_that_cannot_be_of_the_house_fetch_nothing() -> None:
    keys = KeySet(RSA)
    tokens = remote(keys)
    for token in (*BAD.values(), by_hand({"alg": "HS256", "kid": "r1"}, {"sub": "7"}, pem(RSA).encode())):
        with pytest.raises(InvalidTokenError):
            tokens.identify(token)
    assert keys.asked == 0
    with pytest.raises(InvalidTokenError):
        tokens.identify(signed(OTHER_RSA, "RS256", kid="r1"))


def test_keys_are_fetched_over_http() -> None:
    body = KeySet(RSA)("")

    class Address(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/keys" else 500)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Address) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert house(jwks_url=f"{url}/keys").identify(signed(RSA, "RS256", kid="r1")).user_id == "7"
        with pytest.raises(UnavailableError):
            house(jwks_url=f"{url}/broken").identify(signed(RSA, "RS256", kid="r1"))
        server.shutdown()


def test_keys_that_cannot_be_fetched_are_no_fault_of_the_token_and_orakuls_own_stay_good() -> None:
    keys = KeySet(RSA)
    keys.away = True
    tokens = remote(keys)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            tokens.identify(signed(RSA, "RS256", kid="r1"))
    assert tokens.identify(signed(OctKey.import_key(OWN))).user_id == "7"


@pytest.mark.parametrize(
    "settings",
    [
        {"secret": "s" * 32, "jwks_url": "https://id.example.com"},
        {"public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
        {"public_key": "/nowhere/key.pem"},
        {"jwks_url": "file:///etc/passwd"},
        {"secret": "s" * 32, "algorithm": "RS256"},
        {"public_key": pem(RSA), "algorithm": "HS256"},
    ],
)
def test_settings_that_do_not_fit_are_refused_at_the_start(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        house(**settings)


def test_a_token_of_the_house_may_last_for_ever_unless_the_house_says_otherwise() -> None:
    key = b"s" * 32
    forever = by_hand({"alg": "HS256"}, {"sub": "7"}, key)
    with pytest.raises(InvalidTokenError, match="never expires"):
        house(secret=key.decode(), require_expiry=True).identify(forever)
    taken = house(secret=key.decode()).identify(forever)
    assert (taken.user_id, taken.expires_at) == ("7", None)
    with pytest.raises(InvalidTokenError, match="never expires"):
        house(secret=key.decode()).identify(by_hand({"alg": "HS256"}, {"sub": "7"}, OWN))
