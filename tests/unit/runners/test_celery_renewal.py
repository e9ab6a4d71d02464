"""The next attempt's message: the original, but for what must change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orakul.runners.celery import headers as names
from orakul.runners.celery.originals import Original
from orakul.runners.celery.renewal import RETRIED_AT, renewed, retried_at

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SENT = NOW - timedelta(hours=1)


def original(**headers: Any) -> Original:
    return Original(
        body=b'[[1], {}, {"chain": null}]',
        content_type="application/json",
        content_encoding="utf-8",
        headers={"id": "t", "task": "a.b", "retries": 3, "timelimit": [10, 5], "stamps": {"x": 1}, **headers},
        properties={"priority": 5, "correlation_id": "t", "reply_to": "r", "expiration": "1000"},
        exchange="e",
        routing_key="k",
        queue="q",
    )


def test_all_but_the_count_of_attempts_is_as_it_was() -> None:
    before = original(x_house="blue", orakul_user="7")
    after = renewed(before, 4, NOW)
    assert (after.body, after.content_type, after.exchange, after.routing_key, after.queue) == (
        before.body, "application/json", "e", "k", "q",
    )  # fmt: skip
    assert names.attempt_of(after.headers) == 4
    assert after.headers["retries"] == 0
    changed = {"retries", names.ATTEMPT, RETRIED_AT}
    assert {k: v for k, v in after.headers.items() if k not in changed} == {
        k: v for k, v in before.headers.items() if k not in changed
    }
    assert after.properties == {"priority": 5, "correlation_id": "t", "reply_to": "r"}
    assert retried_at(after.headers) == NOW.timestamp()
    assert names.attempt_of(renewed(after, 5, NOW).headers) == 5
    assert before.headers["retries"] == 3, "the original is left as it was"


@pytest.mark.parametrize("form", [datetime.isoformat, lambda moment: moment])
def test_a_time_that_has_passed_is_dropped_and_one_to_come_kept(form: Any) -> None:
    assert renewed(original(eta=form(NOW - timedelta(1))), 2, NOW).headers["eta"] is None
    later = form(NOW + timedelta(1))
    assert renewed(original(eta=later), 2, NOW).headers["eta"] == later


def test_an_expiry_counts_again_from_now() -> None:
    millis = int(SENT.timestamp() * 1000)
    known = {names.SENT: millis, "expires": (SENT + timedelta(minutes=10)).isoformat()}
    after = renewed(original(**known), 2, NOW)
    assert datetime.fromisoformat(after.headers["expires"]) == NOW + timedelta(minutes=10)
    again = renewed(after, 3, NOW + timedelta(days=1))
    assert datetime.fromisoformat(again.headers["expires"]) == NOW + timedelta(days=1, minutes=10)


def test_an_expiry_that_has_passed_is_dropped_where_its_length_is_not_known() -> None:
    assert renewed(original(expires=(NOW - timedelta(1)).isoformat()), 2, NOW).headers["expires"] is None
    kept = (NOW + timedelta(1)).isoformat()
    assert renewed(original(expires=kept), 2, NOW).headers["expires"] == kept


@pytest.mark.parametrize("value", ["no time", 5, None, "2026-03-01T11:00:00"])
def test_odd_times_break_nothing(value: Any) -> None:
    after = renewed(original(eta=value, expires=value), 2, NOW)
    assert after.headers["retries"] == 0
    assert retried_at({RETRIED_AT: value if value != 5 else "x"}) == 0.0
    assert retried_at(None) == 0.0
