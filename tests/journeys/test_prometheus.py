"""A real Prometheus scrapes a whole Orakul under load: each figure, rule, alert and panel has what it is made of.

ORAKUL_TEST_SCRAPE_MINUTES=5 has it scrape for five minutes.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from observatory import DEPLOY, Observatory, panels, tool
from prometheus_client.parser import text_string_to_metric_families
from servers import PostgresServer, RedisServer, wait_for

SECONDS = 60 * float(os.environ.get("ORAKUL_TEST_SCRAPE_MINUTES", "0.4"))
DOCUMENTED = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def observatory(
    server_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Observatory, PostgresServer]]:
    """A house of its own, as it is hurt at the end; under load once, for all tests."""
    from orakul.journals.postgres import migrations

    postgres, redis = PostgresServer(server_folder / "watched-pg"), RedisServer(server_folder / "watched-redis")
    postgres.start()
    redis.start()
    made = None
    try:
        migrations.upgrade(postgres.url)
        made = Observatory(tmp_path_factory.mktemp("watched"), postgres.url, redis.url)
        made.load(SECONDS)
        yield made, postgres
    finally:
        if made is not None:
            made.stack.stop()
        redis.stop()
        postgres.stop()


def named(observatory: Observatory) -> set[str]:
    """Return the names that all the processes tell."""
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for address in observatory.addresses
        for family in text_string_to_metric_families(observatory.text(address))
    }


def test_promtool_has_nothing_to_say(observatory: tuple[Observatory, PostgresServer]) -> None:
    for address in observatory[0].addresses:
        text = observatory[0].text(address)
        done = subprocess.run(
            [tool("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), address


def test_what_rules_and_dashboards_name_exists(observatory: tuple[Observatory, PostgresServer]) -> None:
    known = named(observatory[0])
    rules = {path.name: path.read_text() for path in (DEPLOY / "prometheus").glob("orakul.*s.yml")}
    recorded = set(re.findall(r"record: (\S+)", rules["orakul.rules.yml"]))
    used = {name for *_, text in panels() for name in re.findall(r"[a-z_:0-9]*orakul[a-z_:0-9]+", text)}
    used |= {name for text in rules.values() for name in re.findall(r"[a-z_:0-9]*orakul[_:][a-z_:0-9]+", text)}
    lacking = {
        name for name in used - recorded if name not in known and re.sub(r"_(bucket|sum|count)$", "", name) not in known
    }
    assert lacking == set()


def test_each_panel_has_data(observatory: tuple[Observatory, PostgresServer]) -> None:
    empty = [
        (board, panel, expression) for board, panel, expression in panels() if not observatory[0].query(expression)
    ]
    assert not empty


def test_each_recorded_figure_has_data(observatory: tuple[Observatory, PostgresServer]) -> None:
    for name in re.findall(r"record: (\S+)", (DEPLOY / "prometheus" / "orakul.rules.yml").read_text()):
        assert observatory[0].query(name), name


def test_what_is_told_is_documented_and_nothing_else(observatory: tuple[Observatory, PostgresServer]) -> None:
    documented = set(re.findall(r"^\| `((?:orakul|process)_\w+)`", DOCUMENTED.read_text(), re.MULTILINE))
    told = named(observatory[0])
    assert {name for name in told if name not in documented} == set()
    assert documented - told <= set(re.findall(r"^\| `(\w+)` \*", DOCUMENTED.read_text(), re.MULTILINE))


def test_in_peace_nothing_fires(observatory: tuple[Observatory, PostgresServer]) -> None:
    assert observatory[0].firing() == {}


def test_scrapes_are_quick(observatory: tuple[Observatory, PostgresServer]) -> None:
    for found in observatory[0].query("max by (job) (quantile_over_time(0.95, scrape_duration_seconds[1h]))"):
        print(found["metric"]["job"], found["value"][1])
        assert float(found["value"][1]) < 2, "a scrape's time-out"


def test_trouble_is_told(observatory: tuple[Observatory, PostgresServer]) -> None:
    room, postgres = observatory
    if room.worker.alive:
        room.stack.publish("measured", "measured.die.delay()")
        wait_for(lambda: "OrakulTasksLost" in room.firing(), "the lost task to be told", 60)
        room.worker.stop(9)
    wait_for(lambda: "OrakulDown" in room.firing(), "the dead worker to be told", 60)
    if postgres.process is not None:
        postgres.kill9()
    wait_for(lambda: "OrakulJournalDown" in room.firing(), "the dead journal to be told", 90)
    assert room.firing()["OrakulJournalDown"] == "PostgreSQL does not answer Orakul"
