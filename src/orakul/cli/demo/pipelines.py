"""The bookshop's data pipelines: three that report over Redis as TDTP does, by publish and by a state key.

One is well, one always loses a few rows (a warning of data quality), one fails now and then, or ends with errors.
Runs as a process of its own: `python -m orakul.cli.demo.pipelines`.
"""

import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from orakul.cli.demo.children import end_with_parent

_PACE = 8.0
_EARLIER = 6
_KEPT_SECONDS = 3600

chance = random.Random()  # noqa: S311 (sample work, no secrets)


@dataclass(frozen=True)
class Pipeline:
    """One of the shop's pipelines: how often its runs lose rows, fail, or end with errors."""

    name: str
    result: str
    rows: int
    leaks: float = 0.0
    fails: float = 0.0
    limps: float = 0.0


PIPELINES = (
    Pipeline("shop_orders_sync", "ORDERS_V002", 15_000),
    Pipeline("erp_mask_sync", "MASK_V001", 4_200, leaks=1.0),
    Pipeline("supplier_prices", "PRICES_V001", 900, fails=0.3, limps=0.2),
)


def report(pipeline: Pipeline, ended: datetime) -> dict[str, Any]:
    """Return what a run says that ended then."""
    rows, took = round(pipeline.rows * chance.uniform(0.8, 1.2)), chance.randint(700, 4200)
    told: dict[str, Any] = {
        "pipeline_name": pipeline.name,
        "result_name": pipeline.result,
        "status": "success",
        "started_at": (ended - timedelta(milliseconds=took)).isoformat(timespec="milliseconds"),
        "finished_at": ended.isoformat(timespec="milliseconds"),
        "duration_ms": took,
        "rows_loaded": rows,
        "rows_exported": rows,
    }
    luck = chance.random()
    if luck < pipeline.fails:
        return told | {"status": "failed", "rows_exported": 0, "error": "supplier's FTP: connection reset by peer"}
    if luck < pipeline.fails + pipeline.limps:
        return told | {"status": "completed_with_errors", "rows_exported": rows - 7, "error": "7 prices are no numbers"}
    if chance.random() < pipeline.leaks:
        told["rows_exported"] = rows - chance.randint(1, 40)
    return told


def _say(connection: "redis.Redis", told: dict[str, Any]) -> None:
    text = json.dumps(told)
    connection.set(f"tdtp:pipeline:{told['result_name']}:state", text, ex=_KEPT_SECONDS)
    connection.publish(f"tdtp:pipeline:{told['result_name']}", text)


def main() -> None:
    """Report until ended; a few earlier runs first, so that there is something to be seen."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    end_with_parent()
    earlier = _EARLIER
    with redis.Redis.from_url(os.environ["ORAKUL_PIPELINES_REDIS"]) as connection:
        while True:
            try:
                while earlier and connection.pubsub_numpat():
                    _tell_all(connection, timedelta(seconds=_PACE * earlier))
                    earlier -= 1
                _tell_all(connection, timedelta())
            except redis.RedisError as error:
                print(f"{error}; trying again", file=sys.stderr, flush=True)
            time.sleep(_PACE * chance.uniform(0.7, 1.3) if not earlier else 1.0)


def _tell_all(connection: "redis.Redis", ago: timedelta) -> None:
    for pipeline in PIPELINES:
        _say(connection, report(pipeline, datetime.now(UTC) - ago))


if __name__ == "__main__":
    main()
