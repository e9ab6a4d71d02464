"""Signing in with a name and a password, and the session's cookie."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any

import pytest
from web_world import PASSWORD, World

from orakul.errors import JournalUnavailableError


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    found = World.on(database_url).people()
    yield found
    found.connections.close()


def sign_in(client: Any, username: str = "ann", password: str = PASSWORD, **form: str) -> Any:
    return client("POST", "/v1/auth/token", data={"username": username, "password": password, **form})


def test_a_name_and_a_password_give_a_token_that_is_good_everywhere(world: World) -> None:
    client = world.client()
    grant = sign_in(client, grant_type="password", scope="", client_id="web").json()
    assert grant["token_type"] == "bearer"
    assert grant["expires_in"] == 12 * 3600
    me = client("GET", "/api/me", headers={"Authorization": f"Bearer {grant['access_token']}"}).json()
    assert me == {"user_id": "7", "username": "ann", "role": "user"}


def test_a_wrong_name_and_a_wrong_password_are_told_apart_by_nothing(world: World) -> None:
    client = world.client()
    answers = [sign_in(client, "ann", "wrong"), sign_in(client, "nobody", "wrong"), sign_in(client, "a\0nn", "wrong")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


def test_sign_in_is_slowed_down_for_the_name_and_address_and_not_for_others(world: World) -> None:
    client = world.client(client=("192.0.2.1", 1))
    for _ in range(4):
        assert sign_in(client, "ann", "wrong").status_code == 401
    refused = sign_in(client)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    assert refused.headers["retry-after"] in refused.json()["detail"]
    assert sign_in(client, "ANN", "wrong").status_code == 429
    assert sign_in(client, "bob").status_code == 200
    elsewhere = world.client(client=("192.0.2.2", 1))
    elsewhere.app = client.app
    assert sign_in(elsewhere).status_code == 200


def test_many_trials_at_once_gain_nothing(world: World) -> None:
    client = world.client()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: sign_in(client, "ann", f"wrong{number}").status_code, range(32)))
    assert answers.count(401) <= 5
    assert answers.count(401) + answers.count(429) == 32


def test_one_address_cannot_try_names_without_end_even_with_an_account_of_its_own(world: World) -> None:
    client = world.client()
    statuses = []
    for number in range(60):
        if number % 5 == 0:
            sign_in(client, "bob")
        statuses.append(sign_in(client, f"user{number}", "123456").status_code)
    assert statuses.count(401) <= 41
    assert statuses[-1] == 429


def test_a_database_that_is_away_is_no_failure_of_the_user(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise JournalUnavailableError("PostgreSQL does not answer")

    client = world.client()
    with monkeypatch.context() as patched:
        patched.setattr(world.accounts, "authenticate", away)
        for _ in range(10):
            assert sign_in(client).status_code == 503
    assert sign_in(client).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"username": "ann"},
        {"username": "", "password": "x"},
        {"username": "a" * 300, "password": "x"},
        {"username": "ann", "password": "x" * 2000},
        {"username": "ann", "password": PASSWORD, "grant_type": "client_credentials"},
    ],
)
def test_a_form_that_does_not_fit_is_422_and_does_not_repeat_the_password(world: World, form: dict[str, str]) -> None:
    response = world.client()("POST", "/v1/auth/token", data=form)
    assert response.status_code == 422
    assert response.json()["errors"]
    assert "xxx" not in response.text
    assert PASSWORD not in response.text


def test_a_password_is_not_taken_from_the_address(world: World) -> None:
    response = world.client()("POST", f"/v1/auth/token?username=ann&password={PASSWORD}")
    assert response.status_code == 422


def cookie_of(response: Any) -> Any:
    return SimpleCookie(response.headers["set-cookie"])["orakul_session"]


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(world: World) -> None:
    cookie = cookie_of(world.client("owner")("POST", "/api/session"))
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "strict"
    assert cookie["path"] == "/"
    assert cookie["domain"] == ""
    assert not cookie["secure"]
    assert 0 < int(cookie["max-age"]) <= 12 * 3600
    assert cookie.value != world.tokens["owner"]
    secure = cookie_of(world.client("owner", base_url="https://orakul.test")("POST", "/api/session"))
    assert secure["secure"]


def test_a_proxy_that_is_trusted_makes_the_cookie_secure_and_no_other_does(world: World) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/ops"}
    trusting = world.settled(trusted_proxies=("127.0.0.1",))
    cookie = cookie_of(trusting.client("owner", client=("127.0.0.1", 9))("POST", "/api/session", headers=headers))
    assert cookie["secure"]
    assert cookie["path"] == "/ops/"
    stranger = cookie_of(trusting.client("owner", client=("192.0.2.9", 9))("POST", "/api/session", headers=headers))
    assert not stranger["secure"]
    assert stranger["path"] == "/"


def test_signing_out_takes_the_cookie_away(world: World) -> None:
    opened = cookie_of(world.client("owner")("POST", "/api/session"))
    client = world.client(headers={"Cookie": f"orakul_session={opened.value}", "Sec-Fetch-Site": "same-origin"})
    assert client("GET", "/api/me").json()["user_id"] == "7"
    closed = client("DELETE", "/api/session")
    assert closed.status_code == 204
    assert cookie_of(closed).value == ""
    assert cookie_of(closed)["max-age"] == "0"


def test_a_token_of_the_house_is_swapped_like_one_of_ours(world: World) -> None:
    cookie = cookie_of(world.client("viewer")("POST", "/api/session")).value
    me = world.client(headers={"Cookie": f"orakul_session={cookie}"})("GET", "/api/me").json()
    assert me == {"user_id": "9", "username": "vera", "role": "viewer"}


def test_a_house_without_users_of_orakul_says_so(world: World) -> None:
    world.parts.accounts = None
    response = sign_in(world.client())
    assert response.status_code == 404
    assert "token of your house" in response.json()["detail"]
