"""Rules and dashboards are what Prometheus and Grafana take, and each alert says what to do."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from observatory import tool

DEPLOY = Path(__file__).parents[2] / "deploy"
BOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
KINDS = {"row", "stat", "timeseries", "bargauge", "heatmap"}


@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "orakul.rules.yml", "orakul.alerts.yml"],
        ["test", "rules", "orakul.alerts.test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_takes_the_files(command: list[str]) -> None:
    done = subprocess.run(
        [tool("promtool"), *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    import yaml

    [group] = yaml.safe_load((DEPLOY / "prometheus" / "orakul.alerts.yml").read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names) >= 20
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule
        assert len(rule["annotations"]["summary"]) > 10, rule
        assert len(rule["annotations"]["description"]) > 60, rule


def board(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found


def test_there_are_three_dashboards_with_names_of_their_own() -> None:
    assert len(BOARDS) == 3
    assert len({board(path)["uid"] for path in BOARDS}) == 3


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_has_what_grafana_requires(path: Path) -> None:
    found = board(path)
    assert {"uid", "title", "schemaVersion", "version", "panels", "templating", "time", "annotations"} <= found.keys()
    assert "id" not in found, "an import of a dashboard with an id replaces somebody else's"
    variables = {each["name"]: each for each in found["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        assert panel["type"] in KINDS
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert len(panel["description"]) > 10
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] == "heatmap"
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) >= 1
        for target in panel["targets"]:
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables.keys(), f"{panel['title']}: {used}"
            assert target["legendFormat"]
