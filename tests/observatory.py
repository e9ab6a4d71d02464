"""A whole Orakul under load, and a real Prometheus that scrapes it: for the tests of dashboards, rules and alerts."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from processes import Process, free_port, wait_for
from servers import ServerMissingError
from stacks import Stack

__all__ = ["DEPLOY", "Observatory", "panels", "tool"]

DEPLOY = Path(__file__).parents[1] / "deploy"
_SETTINGS = """
[notifiers.lines]
kind = "log"

[[rules]]
name = "failures"
notify = ["lines"]
when = {event = "task.failed"}
every = "0s"
limit = ""
"""
_TASKS = """
import time
from measured import *
end, n = time.monotonic() + {seconds}, 0
while time.monotonic() < end:
    sometimes.delay(n); add.delay(n, 1)
    if n % 4 == 0: post.delay("x")
    if n % 50 == 0: flaky.delay()
    n += 1
    time.sleep(0.05)
result = n
"""


class Observatory:
    """Server, worker, relay, consumers, reactions and pipelines, each with its `/metrics`, and Prometheus."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self.folder = folder
        (folder / "orakul.toml").write_text(_SETTINGS)
        self.redis_url = redis_url
        self.stack = Stack(
            folder,
            database_url,
            redis_url,
            ORAKUL_CONFIG=str(folder / "orakul.toml"),
            ORAKUL_EVENTS_BROKER=redis_url,
            ORAKUL_EVENTS_RELAY="false",
            ORAKUL_PIPELINES_REDIS=redis_url,
        )
        self.ports = {"worker": free_port(), "relay": free_port(), "consumer": free_port()}
        self.worker = self.stack.worker("measured", "--concurrency", "2", "--queues", "celery,mail",
                                        ORAKUL_CELERY_METRICS_PORT=str(self.ports["worker"]))  # fmt: skip
        for name, command in (("relay", ["run", "relay"]), ("consumer", ["consume", "parcels:consumers"])):
            self.stack.spawn([sys.executable, "-m", "orakul", *command, "--metrics-port", str(self.ports[name])], name)
        for port in self.ports.values():
            wait_for(lambda port=port: self.text(f"http://127.0.0.1:{port}"), "each process to tell", 60)  # type: ignore[misc]
        self.port = free_port()
        self.prometheus = self._prometheus()

    @property
    def addresses(self) -> list[str]:
        """What serves metrics."""
        return [self.stack.url, *(f"http://127.0.0.1:{port}" for port in self.ports.values())]

    def text(self, address: str) -> str:
        """Return what a process tells."""
        with urllib.request.urlopen(f"{address}/metrics", timeout=15) as answer:  # noqa: S310 (our own)
            return str(answer.read().decode())

    def _prometheus(self) -> Process:
        text = (DEPLOY / "prometheus" / "orakul.alerts.yml").read_text()
        (self.folder / "orakul.alerts.yml").write_text(re.sub(r"for: \w+", "for: 2s", text))
        (self.folder / "orakul.rules.yml").write_text((DEPLOY / "prometheus" / "orakul.rules.yml").read_text())
        jobs = {
            "orakul": [self.stack.port],
            "orakul-workers": [self.ports["worker"]],
            "orakul-processes": [self.ports["relay"], self.ports["consumer"]],
        }
        config = {
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
            "rule_files": ["orakul.rules.yml", "orakul.alerts.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
                for job, ports in jobs.items()
            ],
        }
        (self.folder / "prometheus.yml").write_text(json.dumps(config))
        process = self.stack.spawn(
            [tool("prometheus"), f"--config.file={self.folder / 'prometheus.yml'}",
             f"--storage.tsdb.path={self.folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{self.port}"],
            "prometheus",
        )  # fmt: skip
        wait_for(self._scraped, "Prometheus to have scraped all", 60)
        return process

    def _scraped(self) -> bool:
        targets = self.ask("targets")["activeTargets"]
        return len(targets) == 4 and all(each["health"] == "up" for each in targets)

    def ask(self, what: str, **query: str) -> Any:
        """Return what Prometheus answers."""
        address = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=15) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[Any]:
        """Return the samples of an expression now."""
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found

    def firing(self) -> dict[str, str]:
        """Return the alerts that fire, with what they say."""
        alerts = self.ask("alerts")["alerts"]
        return {
            each["labels"]["alertname"]: each["annotations"]["summary"] for each in alerts if each["state"] == "firing"
        }

    def load(self, seconds: float) -> None:
        """Let it all work for so long: tasks, domain events, pipelines, a page that listens."""
        work = [threading.Thread(target=each, args=(seconds,)) for each in (self._tasks, self._events, self._listen)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()

    def _tasks(self, seconds: float) -> None:
        subprocess.run([sys.executable, "-c", _TASKS.format(seconds=seconds)], env=self.stack.environment,
                       cwd=self.folder, check=True, timeout=seconds + 60)  # fmt: skip

    def _events(self, seconds: float) -> None:
        import psycopg
        import redis

        from orakul.delivery import outbox
        from orakul.events import Event

        end, number = time.monotonic() + seconds, 1
        with psycopg.connect(self.stack.database_url) as connection, redis.Redis.from_url(self.redis_url) as channel:
            while time.monotonic() < end:
                with connection.transaction():
                    outbox.publish(connection, Event(event_type="parcel.sent", data={"parcel_id": number}))
                moment = f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z"
                run = {"pipeline_name": "sync", "result_name": "rows", "status": "success", "started_at": moment,
                       "finished_at": moment, "duration_ms": 5, "rows_loaded": 9, "rows_exported": 9}  # fmt: skip
                channel.set("tdtp:pipeline:rows:state", json.dumps(run))
                channel.publish("tdtp:pipeline:rows", json.dumps(run))
                number += 1
                time.sleep(0.1)

    def _listen(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        asked = 0.0
        with (
            self.stack.client() as client,
            self.stack.client() as other,
            client.stream("GET", "/api/tasks/subscribe") as stream,
        ):
            for _ in stream.iter_lines():
                if time.monotonic() > end:
                    break
                if time.monotonic() - asked > 0.5:  # not at each line: who reads too slowly is cut off
                    asked = time.monotonic()
                    other.get("/api/tasks")


def tool(name: str) -> str:
    """Return where a program of Prometheus's is."""
    found = shutil.which(name)
    if found is None:
        raise ServerMissingError(f"The tests need {name}: apt-get install prometheus, or put it on the PATH.")
    return found


def panels() -> Iterator[tuple[str, str, str]]:
    """Return the queries of the dashboards: dashboard, panel, expression with its variables filled in."""
    for path in sorted((DEPLOY / "grafana").glob("*.json")):
        board: Mapping[str, Any] = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield path.stem, panel["title"], filled(target["expr"])


def filled(expression: str) -> str:
    """Return an expression as Grafana sends it, with everything chosen."""
    return re.sub(r"\$(queue|name|instance)", ".*", expression.replace("$__rate_interval", "30s"))
