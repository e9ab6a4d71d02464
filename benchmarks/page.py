"""The page under load in Chromium: frames a second and the longest task, at 500 changes/s and at 100,000 rows.

    python benchmarks/page.py [--json] [--rate 500] [--seconds 60] [--rows 100000] [--database-url URL]

A real `orakul serve` over a real PostgreSQL; the page is signed in as an administrator, 1440 × 900. Four runs:

- still: nothing happens (the floor: what this machine draws at all);
- live: a writer stores `rate` changes a second, a third of them new tasks, that go in at the top of the list;
- held: the same, with the pointer over the list (new tasks are counted, rows change in place) and a task open;
- scroll: a list of `rows` tasks is scrolled fast in ten places once its pages have been fetched, live as well.

Frames are those that requestAnimationFrame was given; the longest task is what the browser's own observer reports of
tasks over 50 ms. Chromium is headless and draws in software, on the same machine as all else.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

from orakul.events import Event
from orakul.journals.postgres import Connections, EmbeddedPostgres, PostgresAccounts, PostgresJournal
from orakul.journals.postgres.migrations import upgrade

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the browser's options and free ports are the tests' own
from servers import free_port

PASSWORD = "a password for a benchmark"  # noqa: S105 (of a server that lives for a minute)
TICKS = 20  # batches a second
NAMES = [f"shop.task_{number:02d}" for number in range(40)]
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

METER = """
() => {
  const meter = { frames: [], tasks: [], last: 0 };
  window.meter = meter;
  const frame = (now) => {
    if (meter.last) meter.frames.push(now - meter.last);
    meter.last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) meter.tasks.push(entry.duration);
  }).observe({ type: "longtask" });
}
"""
READ = """
() => {
  const { frames, tasks } = window.meter;
  const sorted = [...frames].sort((a, b) => a - b);
  const total = frames.reduce((sum, one) => sum + one, 0);
  const result = {
    fps: (1000 * frames.length) / total,
    frame_p99_ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
    frame_max_ms: sorted[sorted.length - 1] ?? 0,
    longest_task_ms: Math.max(0, ...tasks),
    long_tasks: tasks.length,
  };
  window.meter.frames = [];
  window.meter.tasks = [];
  return result;
}
"""


class Writer(threading.Thread):
    """Stores changes at an even rate: each tick some tasks are sent, those of the tick before start, older ones end."""

    def __init__(self, journal: PostgresJournal, rate: int) -> None:
        super().__init__(daemon=True)
        self._journal = journal
        self._share = rate / TICKS / 3
        self._done = threading.Event()
        self.changes = 0

    def run(self) -> None:
        """Write until told to stop."""
        lives: list[list[str]] = [[], []]
        due, owed, number = time.monotonic(), 0.0, 0
        while not self._done.wait(max(0.0, due - time.monotonic())):
            due += 1 / TICKS
            owed += self._share
            fresh = [f"live-{time.time_ns()}-{number + i}" for i in range(int(owed))]
            owed -= len(fresh)
            number += len(fresh)
            ending, starting = lives
            lives = [starting, fresh]
            events = [change(task_id, "pending") for task_id in fresh]
            events += [change(task_id, "in_progress") for task_id in starting]
            events += [change(task_id, "failed" if hash(task_id) % 20 == 0 else "completed") for task_id in ending]
            self._journal.append(events)
            self.changes += len(events)

    def stop(self) -> None:
        """Stop, and wait for the last batch."""
        self._done.set()
        self.join()


def change(task_id: str, status: str, at: datetime | None = None) -> Event:
    """Return one change of a task's status."""
    name = NAMES[hash(task_id) % len(NAMES)]
    data = {"attempt": 1, "name": name, "kind": "celery", "queue": "celery"}
    return Event(
        event_type=f"task.{status}", task_id=task_id, user_id="7", data=data, timestamp=at or datetime.now(UTC)
    )


def fill(journal: PostgresJournal, rows: int) -> None:
    """Store tasks that have ended, for the list to be long."""
    begin = datetime.now(UTC) - timedelta(hours=20)
    for first in range(0, rows, 1000):
        events = []
        for number in range(first, min(rows, first + 1000)):
            at = begin + timedelta(milliseconds=500 * number)
            events += [change(f"old-{number:08d}", "pending", at), change(f"old-{number:08d}", "completed", at)]
        journal.append(events)


@contextmanager
def serving(database_url: str, folder: str) -> Iterator[str]:
    """Serve Orakul; yield its address."""
    port = free_port()
    environment = {
        **os.environ,
        "ORAKUL_DATA": folder,
        "ORAKUL_DATABASE_URL": database_url,
        "ORAKUL_PORT": str(port),
        "ORAKUL_SECRET_KEY": "a secret key of a benchmark, long enough",
    }
    server = subprocess.Popen([sys.executable, "-m", "orakul", "serve"], env=environment, stdout=-3, stderr=-3)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(400):
            try:
                urlopen(f"{url}/healthz", timeout=2).close()  # noqa: S310 (our own server)
                break
            except (URLError, OSError):
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def open_page(browser: Browser, url: str) -> Page:
    """Sign in, and return the page with its list drawn and the meter running."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US").new_page()
    page.goto(url)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.locator("[data-task]").first.wait_for()
    page.mouse.move(700, 20)
    page.evaluate(METER)
    page.wait_for_timeout(1500)
    return page


def measured(page: Page, seconds: float) -> dict[str, float]:
    """Return what the meter says of the next seconds."""
    page.evaluate(READ)
    page.wait_for_timeout(seconds * 1000)
    found: dict[str, float] = page.evaluate(READ)
    return found


def scrolled(page: Page, rows: int) -> dict[str, float]:
    """Fetch every page of the list, then scroll in ten places of it, 400 pixels a step: more than a fast wheel."""
    page.evaluate(
        """async (rows) => {
          const grid = document.querySelector("[role=grid]");
          const body = grid.querySelector(".grid-body");
          for (let i = 0; i < 5000 && body.offsetHeight / 36 < rows; i++) {
            grid.scrollTop = grid.scrollHeight;
            await new Promise((go) => setTimeout(go, 20));
          }
          grid.scrollTop = 0;
        }""",
        rows,
    )
    page.wait_for_timeout(1000)
    page.evaluate(READ)
    drawn = page.evaluate(
        """async () => {
          const grid = document.querySelector("[role=grid]");
          const end = grid.scrollHeight - grid.clientHeight;
          let blank = 0;
          for (let at = 0; at < 10; at++) {
            const from = Math.min((end * at) / 10, end - 100 * 400); // a jump, as by the scroll bar, then on
            for (let frame = 0; frame < 100; frame++) {
              grid.scrollTop = from + frame * 400;
              await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go())));
              const { left, top, width, height } = grid.getBoundingClientRect();
              blank += document.elementFromPoint(left + width / 2, top + height / 2)?.closest("[data-task]") ? 0 : 1;
            }
          }
          return { rows: Math.round(grid.querySelector(".grid-body").offsetHeight / 36), blank_frames: blank };
        }"""
    )
    return page.evaluate(READ) | drawn


def run(given: argparse.Namespace, url: str, folder: str) -> dict[str, Any]:
    """Measure all four, on one server."""
    upgrade(url)
    results: dict[str, Any] = {}
    with Connections(url) as connections, sync_playwright() as playwright:
        journal = PostgresJournal(connections)
        PostgresAccounts(connections).add("admin", PASSWORD, role="admin", user_id="1")
        fill(journal, given.rows)
        with serving(url, folder) as address:
            browser = playwright.chromium.launch(executable_path=given.chromium, args=CHROMIUM)
            page = open_page(browser, address)
            results["still"] = measured(page, 5)
            writer = Writer(journal, given.rate)
            writer.start()
            before, begin = writer.changes, time.monotonic()
            results["live"] = measured(page, given.seconds)
            results["live"]["changes_per_second"] = (writer.changes - before) / (time.monotonic() - begin)
            page.locator("[data-task]").nth(3).click()
            page.locator(".history-entry").first.wait_for()
            results["held"] = measured(page, given.seconds / 2)
            writer.stop()
            page.keyboard.press("Escape")
            page.reload()
            page.locator("[data-task]").first.wait_for()
            page.evaluate(METER)
            calm = Writer(journal, given.rate // 10)
            calm.start()
            results["scroll"] = scrolled(page, given.rows)
            calm.stop()
            browser.close()
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--database-url")
    parser.add_argument("--chromium", default=os.environ.get("ORAKUL_TEST_CHROMIUM", "/usr/bin/chromium"))
    given = parser.parse_args()
    with ExitStack() as stack:
        url = given.database_url or stack.enter_context(EmbeddedPostgres.temporary()).url
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        results = run(given, url, folder)
    results["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}"
    if given.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{results.pop('machine')}; aim: 50 frames a second, no task over 100 ms")
    for name, values in results.items():
        print(f"{name:7}" + "  ".join(f"{key} {value:.1f}" for key, value in values.items()))


if __name__ == "__main__":
    main()
