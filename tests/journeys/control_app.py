"""The application of the control tests: instrumented by one line, told by the environment where its broker is.

Each task notes what it does in a file, so that a test sees what was really done: `NOTES/<word>` gets a line.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery

from orakul.events import as_user
from orakul.runners.celery import install

app = Celery("control_app", broker=os.environ["CONTROL_BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    task_ignore_result=True,
    broker_connection_timeout=3,
)
install(app)

NOTES = Path(os.environ["CONTROL_NOTES"])


def note(word: str, line: str = "") -> None:
    """Add a line to the notes."""
    with (NOTES / word).open("a") as file:
        file.write(line + "\n")


@app.task
def quick(word: str) -> str:
    """Note the word and end."""
    note(word, "ran")
    return word


@app.task
def slow(word: str, seconds: float) -> str:
    """Take some time in small steps, and clean up whatever happens."""
    note(word, "began")
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.05)
        note(word, "ended")
    finally:
        note(word, "cleaned up")
    return word


@app.task
def stubborn(word: str, seconds: float) -> str:
    """Take some time, and not let itself be stopped."""
    note(word, "began")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.05)
        except Exception as error:  # noqa: BLE001 (it is stubborn)
            note(word, f"swallowed {type(error).__name__}")
    note(word, "ended")
    return word


@app.task(bind=True)
def flaky(self: Any, word: str, *, secret: str = "", **options: object) -> dict[str, object]:
    """Fail until the file `<word>.good` is there; say what it was called with."""
    request = self.request
    note(word, f"attempt {request.headers.get('orakul_attempt') if request.headers else None}")
    if not (NOTES / f"{word}.good").exists():
        raise RuntimeError(f"not yet, {word}")
    return {
        "word": word,
        "length": len(secret),
        "options": options,
        "queue": request.delivery_info["routing_key"],
        "priority": request.delivery_info["priority"],
        "retries": request.retries,
        "house": getattr(request, "x_house", None),
    }


def publish(name: str, word: str, *args: float, queue: str = "celery", count: int = 1) -> list[str]:
    """Publish from an instrumented process; return the ids."""
    task = app.tasks[f"control_app.{name}"]
    with as_user("7"):
        return [task.apply_async((word, *args), queue=queue).id for _ in range(count)]


if __name__ == "__main__":
    import control_app

    name, queue, count, word, *rest = sys.argv[1:]
    for task_id in control_app.publish(name, word, *map(float, rest), queue=queue, count=int(count)):
        print(task_id)
