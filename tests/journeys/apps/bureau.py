"""The application of the interface's tests: a small office, instrumented by one line."""

import logging
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, group

from orakul.runners.celery import install

app = Celery("bureau", broker=os.environ["APP_BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_routes={"bureau.mail": {"queue": "mail"}},
)
install(app)
log = logging.getLogger("bureau")


@app.task
def add(x: int, y: int) -> dict[str, Any]:
    """Add, and return more than a number."""
    return {"sum": x + y, "terms": [x, y], "exact": True}


@app.task
def file_report(url: str) -> str:
    """Return where the report is."""
    return url


@app.task
def mail(to: str) -> str:
    """Go to another queue."""
    return to


@app.task
def need(path: str) -> str:
    """Fail until the file is there."""
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no {Path(path).name} yet")
    return "found"


@app.task
def talk(lines: int, pause: float) -> int:
    """Say something again and again, each tenth time as a warning."""
    for number in range(lines):
        log.log(logging.WARNING if number % 10 == 9 else logging.INFO, "line %d of %d", number + 1, lines)
        time.sleep(pause)
    return lines


@app.task
def rest(seconds: float) -> None:
    """Take some time, in small steps."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)


@app.task
def split(parts: int) -> None:
    """Hand the work on to others."""
    group(add.s(number, number) for number in range(parts)).delay()
