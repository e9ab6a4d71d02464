"""The list's first paint in Chromium, and the list while a day goes past its retention, at a large and a small journal.

    python benchmarks/room_page.py --url URL [--small 100000] [--large 10000000] [--days 3] [--json]

Uses the databases that `benchmarks/room.py --url URL --keep` has left there. First contentful paint, the first row on
the screen and total blocking time (what tasks of the page take beyond 50 ms each), five times each, signed in, nothing
cached; then the first page of the list through the reader, in peace and while ended tasks of the oldest days are let go
(three days of ten million in thirty are a million tasks): these are gone afterwards.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psycopg
from page import CHROMIUM
from playwright.sync_api import Browser, sync_playwright

from orakul.journals.postgres import Connections, PostgresReader, PostgresRetention
from orakul.tasks.reader import TaskQuery
from orakul.tasks.retention import Rules
from orakul.web.parts import TokenSettings
from orakul.web.tokens import Tokens

SECRET = "a secret key of a benchmark, long enough"  # noqa: S105 (a benchmark's)
WATCH = """
window.__blocked = 0; window.__row = 0;
new PerformanceObserver((list) => { for (const each of list.getEntries()) window.__blocked += each.duration - 50; })
  .observe({ type: "longtask", buffered: true });
const look = () => {
  if (document.querySelector("[data-task]")) requestAnimationFrame(() => { window.__row = performance.now(); });
  else requestAnimationFrame(look);
};
look();
"""
READ = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null,
  row: window.__row, blocked: window.__blocked })"""


@contextmanager
def serving(url: str, folder: str) -> Iterator[str]:
    """Serve a database, and yield the address."""
    port = random.randint(20_000, 60_000)  # noqa: S311 (no secret)
    known = psycopg.conninfo.conninfo_to_dict(url)
    host = str(known["host"]).replace("/", "%2F")
    address = (
        f"postgresql://{known['user']}:{known.get('password', '')}@/{known['dbname']}?host={host}&port={known['port']}"
    )
    environment = os.environ | {
        "ORAKUL_DATA": folder,
        "ORAKUL_DATABASE_URL": address,
        "ORAKUL_PORT": str(port),
        "ORAKUL_SECRET_KEY": SECRET,
        "ORAKUL_RETENTION_EVENTS_DAYS": "3650",
    }
    server = subprocess.Popen([sys.executable, "-m", "orakul", "serve"], env=environment, stdout=-3, stderr=-3)
    found = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urlopen(f"{found}/readyz", timeout=5).close()  # noqa: S310 (our own server)
                break
            except (URLError, OSError):
                time.sleep(0.2)
        yield found
    finally:
        server.terminate()
        server.wait(30)


def painted(browser: Browser, address: str) -> dict[str, float]:
    """Return the medians of five first visits, in milliseconds."""
    token, _ = Tokens(SECRET.encode(), TokenSettings()).issue("1", username="admin", role="admin")
    visits: list[dict[str, float]] = []
    for _ in range(5):
        context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
        headers = {"Authorization": f"Bearer {token}", "Origin": address, "Sec-Fetch-Site": "same-origin"}
        context.request.post(f"{address}/api/session", headers=headers)
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(address)
        page.locator("[data-task]").first.wait_for(timeout=60_000)
        page.wait_for_timeout(1_000)
        visits.append(page.evaluate(READ))
        context.close()
    return {name: statistics.median(visit[name] for visit in visits) for name in visits[0]}


def listed(reader: PostgresReader, seconds: float, going: threading.Event | None = None) -> list[float]:
    """Return how long the first page takes, again and again, in milliseconds."""
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and (going is None or not going.is_set()):
        begin = time.perf_counter()
        reader.tasks(TaskQuery())
        took.append((time.perf_counter() - begin) * 1000)
        time.sleep(0.02)
    return took


def let_go(url: str, days: int) -> dict[str, float]:
    """Return the first page's times in peace and while the ended tasks of the oldest days go."""
    with Connections(url) as connections:
        with connections.open("write") as raw:
            row = raw.execute("SELECT min(finished_at), count(*) FROM orakul.tasks").fetchone()
        assert row is not None
        oldest, before = row
        kept = (datetime.now(UTC) - (oldest + timedelta(days=days))).days
        retention = PostgresRetention(connections, Rules(tasks_days=kept, events_days=3650, logs_days=3650))
        peace = listed(PostgresReader(connections), 10)
        done = threading.Event()

        def work() -> None:
            retention.forget()
            done.set()

        began = time.monotonic()
        threading.Thread(target=work, daemon=True).start()
        during = listed(PostgresReader(connections), 600, done)
        took = time.monotonic() - began
        with connections.open("write") as raw:
            left = raw.execute("SELECT count(*) FROM orakul.tasks").fetchone()
        assert left is not None
    gone = before - left[0]
    centiles = [statistics.quantiles(times, n=100) for times in (peace, during)]
    return {
        "gone": gone,
        "a_second": gone / took,
        "peace_p50": centiles[0][49],
        "peace_p99": centiles[0][98],
        "during_p50": centiles[1][49],
        "during_p99": centiles[1][98],
        "ratio": centiles[1][49] / centiles[0][49],
    }


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--url", required=True)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=3, help="how many of the oldest days go; 0: none")
    parser.add_argument("--chromium", default=os.environ.get("ORAKUL_TEST_CHROMIUM", "/usr/bin/chromium"))
    given = parser.parse_args()
    results: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.machine()}"}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=CHROMIUM)
        for size in (given.small, given.large):
            url = psycopg.conninfo.make_conninfo(given.url, dbname=f"orakul_room_{size}")
            with serving(url, f"{folder}/{size}") as address:
                results[f"{size:,} tasks"] = painted(browser, address)
        browser.close()
    if given.days:
        url = psycopg.conninfo.make_conninfo(given.url, dbname=f"orakul_room_{given.large}")
        results["retention"] = let_go(url, given.days)
    results["load"] = os.getloadavg()[0]
    if given.json:
        print(json.dumps(results, indent=1))
        return
    for name, values in results.items():
        print(f"{name:18}", values if not isinstance(values, dict) else {k: round(v, 2) for k, v in values.items()})


if __name__ == "__main__":
    main()
