"""What comes in and goes out at the borders: proxies, origins, bodies, large and hostile values."""

import json
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from orakul.errors import (
    BrokerUnavailableError,
    InvalidQueryError,
    JournalUnavailableError,
    NotPossibleError,
    OrakulError,
    SettingsError,
    TaskNotFoundError,
    WrongStateError,
)
from orakul.web.bounds import bounded, bounded_text
from orakul.web.problems import problem_of
from orakul.web.proxies import ForwardedHeaders
from orakul.web.ready import Readiness
from orakul.web.security import content_policy
from orakul.web.session import same_origin


def scope(client: str = "10.0.0.1", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": pairs,
        "client": (client, 1),
    }


async def _nothing(*_: Any) -> None: ...


async def seen_through(trusted: list[str], given: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.update(scope)

    await ForwardedHeaders(app, trusted=trusted)(given, _nothing, _nothing)
    return seen


def run(awaitable: Any) -> Any:
    with pytest.raises(StopIteration) as stopped:
        awaitable.send(None)
    return stopped.value.value


FORWARDED = {
    "host": "internal:8080",
    "x_forwarded_proto": "https",
    "x_forwarded_host": "orakul.example.com",
    "x_forwarded_prefix": "/ops/",
    "x_forwarded_for": "6.6.6.6, 1.2.3.4, 10.0.0.9",
}


def test_forwarded_headers_of_a_stranger_are_not_believed() -> None:
    seen = run(seen_through(["10.0.0.0/8"], scope("192.0.2.1", **FORWARDED)))
    assert (seen["scheme"], seen["client"][0], seen.get("root_path")) == ("http", "192.0.2.1", None)
    assert (b"host", b"internal:8080") in seen["headers"]


def test_those_of_a_trusted_proxy_are_and_the_client_is_the_nearest_who_is_no_proxy() -> None:
    seen = run(seen_through(["10.0.0.0/8"], scope("10.0.0.1", **FORWARDED)))
    assert (seen["scheme"], seen["client"][0], seen["root_path"]) == ("https", "1.2.3.4", "/ops")
    assert [value for name, value in seen["headers"] if name == b"host"] == [b"orakul.example.com"]


def test_a_prefix_that_would_lead_elsewhere_is_not_taken() -> None:
    for prefix in ("//evil.example.com", "evil", "https://evil.example.com"):
        assert "root_path" not in run(seen_through(["*"], scope(x_forwarded_prefix=prefix)))


def test_a_trusted_proxy_that_is_no_address_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"proxy\.local"):
        ForwardedHeaders(_nothing, trusted=["proxy.local"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-site", "origin": "http://here"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://here"}, False),
        ({"origin": "http://here"}, True),
        ({"origin": "https://here"}, True),
        ({"origin": "http://here:80"}, True),
        ({"origin": "http://HERE"}, True),
        ({"origin": "http://there"}, False),
        ({"origin": "http://here.there"}, False),
        ({"origin": "http://here:8080"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({}, False),
    ],
)
def test_only_the_browsers_own_word_makes_a_request_same_origin(headers: dict[str, str], ours: bool) -> None:  # noqa: FBT001 (a column of the table)
    assert same_origin(Request(scope(host="here", **headers))) is ours


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidQueryError("x"), 422),
        (TaskNotFoundError("x"), 404),
        (WrongStateError("x"), 409),
        (NotPossibleError("x"), 409),
        (JournalUnavailableError("x"), 503),
        (BrokerUnavailableError("x"), 503),
        (OrakulError("the password is hunter2"), 500),
        (ValueError("the password is hunter2"), 500),
    ],
)
def test_each_error_of_the_family_has_its_status_and_others_say_nothing(error: Exception, status: int) -> None:
    found = problem_of(error)
    assert found.problem.status == status
    assert "hunter2" not in found.problem.detail
    assert ("Retry-After" in found.headers) == (status == 503)


def test_a_result_of_fifty_megabytes_is_cut_with_a_note() -> None:
    shown = bounded({"text": "ä" * 25_000_000})
    assert shown["bytes"] > 50_000_000
    assert "too large" in shown["orakul"]
    assert len(msgspec.json.encode(shown)) < 100_000


def test_what_is_nested_without_end_or_no_json_is_said_to_be_so() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "cannot be shown" in bounded(deep)["orakul"]
    assert "cannot be shown" in bounded(object())["orakul"]
    assert "cannot be shown" in bounded("\ud800")["orakul"]


def test_nan_and_html_come_out_as_json() -> None:
    assert json.loads(msgspec.json.encode(bounded([float("nan"), "<script>alert(1)</script>"]))) == [
        None,
        "<script>alert(1)</script>",
    ]


def test_a_long_traceback_keeps_both_its_ends() -> None:
    text = "begin" + "x" * 2_000_000 + "end"
    cut = bounded_text(text) or ""
    assert cut.startswith("begin")
    assert cut.endswith("end")
    assert "left out" in cut
    assert len(cut) < 50_000


def test_the_content_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in content_policy()
    assert "frame-ancestors 'none'" in content_policy()
    assert "frame-ancestors https://house.example.com" in content_policy(["https://house.example.com"])


def test_readiness_names_what_is_away_since_when_and_forgets_it_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orakul.web.ready._GOOD_FOR", 0.0)
    away = True

    def database() -> None:
        if away:
            raise JournalUnavailableError("PostgreSQL at db:5432: connection refused")

    def broken() -> None:
        raise ValueError("the password is hunter2")

    readiness = Readiness({"database": database, "feed": broken})
    first, feed = readiness.troubles()
    assert (first.name, first.said) == ("database", "PostgreSQL at db:5432: connection refused")
    assert "hunter2" not in feed.said
    assert readiness.troubles()[0].since == first.since
    away = False
    assert [trouble.name for trouble in readiness.troubles()] == ["feed"]
