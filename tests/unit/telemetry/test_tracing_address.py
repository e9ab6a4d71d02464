"""Where spans go is settled when the provider is made, and no password of an address is told."""

import pytest
from opentelemetry.sdk.trace import TracerProvider

from orakul.errors import OrakulError
from orakul.telemetry.tracing import Tracing


def test_an_address_that_comes_too_late_is_told_of_and_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    tracing = Tracing()
    tracing.send_to("http://first.example:4318")
    tracing.send_to("http://second.example:4318")
    assert tracing.endpoint == "http://second.example:4318", "until the provider is made the last one counts"
    tracing._provider = TracerProvider(shutdown_on_exit=False)
    tracing.send_to(None)
    assert not caplog.records
    tracing.send_to("http://ann:hunter2@third.example:4318")
    assert tracing.endpoint == "http://second.example:4318"
    assert "third.example" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_password_of_a_wrong_address_is_not_told() -> None:
    with pytest.raises(OrakulError, match="no address of a collector") as refused:
        Tracing().send_to("ftp://ann:hunter2@host")
    assert "hunter2" not in str(refused.value)
