"""An application that does not know Orakul, for the tests of the watcher."""

import os
import time

from celery import Celery
from celery.exceptions import Ignore

app = Celery("plain_app", broker=os.environ["CONTROL_BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result=True)


@app.task
def add(x: int, y: int, **_: object) -> int:
    """Add."""
    return x + y


@app.task
def nap(seconds: float) -> str:
    """Take some time."""
    time.sleep(seconds)
    return "rested"


@app.task
def fail(word: str) -> None:
    """Fail."""
    raise ValueError(f"no {word}")


@app.task(bind=True, max_retries=1, default_retry_delay=0.2)
def again(self: object, word: str) -> str:
    """Fail once, then succeed."""
    if not self.request.retries:  # type: ignore[attr-defined]
        raise self.retry(exc=ValueError(word))  # type: ignore[attr-defined]
    return word


@app.task
def ignored() -> None:
    """End in a way of which Celery says nothing."""
    raise Ignore
