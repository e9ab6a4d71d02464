"""What the instruments tell reaches Prometheus as it is, whatever stands in a label."""

import math
import socket
import urllib.request
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from orakul.instruments import counter, gauge, histogram
from orakul.telemetry.prometheus import CONTENT_TYPE, exposition, join_prometheus, serve_metrics

_numbers = count(1)
labels = st.text(st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from('\n"\\{},='), max_size=20)


def fresh(suffix: str = "") -> str:
    return f"orakul_form_{next(_numbers)}{suffix}"


@given(st.dictionaries(labels, st.integers(1, 10**15) | st.floats(0, 1e300)), st.lists(st.floats(0, 10), max_size=20))
def test_the_text_says_what_was_counted(figures: dict[str, float], times: list[float]) -> None:
    counted, took = counter(fresh("_total"), 'Said: "a\\b"\nand on.', ("who",)), histogram(fresh("_seconds"), "Times.")
    for who, figure in figures.items():
        counted.add(figure, who)
    for seconds in times:
        took.observe(seconds)
    told = {
        family.name: family
        for family in text_string_to_metric_families(exposition([counted.snapshot(), took.snapshot()]))
    }
    seen = told.get(counted.name.removesuffix("_total"))
    assert {each.labels["who"]: each.value for each in (seen.samples if seen else ())} == pytest.approx(figures)
    samples = {(each.name, each.labels.get("le")): each.value for each in told[took.name].samples}
    assert samples[f"{took.name}_bucket", "+Inf"] == samples[f"{took.name}_count", None] == len(times)
    assert samples[f"{took.name}_sum", None] == pytest.approx(math.fsum(times))
    assert samples[f"{took.name}_bucket", "0.1"] == sum(seconds <= 0.1 for seconds in times)


def test_a_registry_of_the_programs_own_tells_the_same() -> None:
    name, registry = fresh("_total"), CollectorRegistry()
    counter(name, "Counted.", ("who",)).add(3, "we")
    histogram(took := fresh("_seconds"), "Times.", (0.5, 1.0)).observe(0.7)
    gauge(kinds := fresh("_kinds"), "Kinds.", lambda: {"big": 2}, ("kind",))
    join_prometheus(registry)
    lines = generate_latest(registry).decode().splitlines()
    assert f'{name}{{who="we"}} 3.0' in lines
    assert f'{kinds}{{kind="big"}} 2.0' in lines
    assert [line for line in lines if line.startswith(f"{took}_bucket")] == [
        f'{took}_bucket{{le="0.5"}} 0.0',
        f'{took}_bucket{{le="1.0"}} 1.0',
        f'{took}_bucket{{le="+Inf"}} 1.0',
    ]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_program_serves_its_figures_and_a_taken_port_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    stop = serve_metrics("127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
            assert answer.headers["Content-Type"] == CONTENT_TYPE
        assert "process_cpu_seconds_total " in text
        assert "orakul_build_info{version=" in text
        serve_metrics("127.0.0.1", port)()
        assert f"No metrics: 127.0.0.1:{port} cannot be listened on" in caplog.text
        assert "Choose another port" in caplog.text
    finally:
        stop()
    again = serve_metrics("127.0.0.1", port)  # the port is free again
    again()
    assert caplog.text.count("No metrics") == 1
    serve_metrics("127.0.0.1", 70_000)()
    assert caplog.text.count("No metrics") == 2
