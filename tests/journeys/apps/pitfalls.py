"""A Celery application that does everything that monitors get wrong; one task a pitfall.

Its broker and result backend come from the environment, and so do Orakul's settings, as in a user's application.
"""

import logging
import os
import signal
import time
from datetime import UTC, datetime
from decimal import Decimal

import kombu.serialization
from celery import Celery, Task, chord, group
from celery.exceptions import Ignore, Reject
from celery.utils.log import get_task_logger

from orakul import as_user
from orakul.runners.celery import install

app = Celery("pitfalls", broker=os.environ["APP_BROKER"], backend=os.environ.get("APP_BACKEND"))
app.conf.update(
    accept_content=["json", "pickle", "rot"],
    broker_connection_retry_on_startup=True,
    task_default_queue=os.environ.get("APP_QUEUE", "pitfalls"),
    worker_prefetch_multiplier=int(os.environ.get("APP_PREFETCH", "4")),
    worker_cancel_long_running_tasks_on_connection_loss=True,
    worker_hijack_root_logger=True,
    task_remote_tracebacks=False,
)
if app.conf.broker_url.startswith("redis"):
    app.conf.broker_transport_options = {"visibility_timeout": 3600}
install(app)
install(app)  # again does nothing

kombu.serialization.register(  # a serializer of the house's own
    "rot",
    lambda value: (
        kombu.serialization.dumps(value, serializer="json")[2].encode("rot13")
        if False
        else kombu.serialization.dumps(value, serializer="json")[2][::-1]
    ),
    lambda text: kombu.serialization.loads(text[::-1], "application/json", "utf-8"),
    content_type="application/x-rot",
    content_encoding="utf-8",
)

logger = get_task_logger(__name__)
plain = logging.getLogger("shop.orders")


@app.task
def add(x, y):
    return x + y


@app.task
def show(value=None):
    return value


@app.task
def strange(kind):
    deep = current = {}
    for _ in range(1000):
        current["a"] = current = {}
    return {
        "nan": float("nan"),
        "deep": deep,
        "big": "x" * 50_000_000,
        "money": Decimal("1.10"),
        "when": datetime(2026, 1, 1, tzinfo=UTC),
        "nul": "a\0b",
        "html": "<script>alert(1)</script>",
        "integer": 2**70,
        "list": list(range(100_000)),
    }[kind]


@app.task
def fail(password=None, *, note=""):
    order = {"id": 7}
    plain.info("charging with %s", password)
    raise ValueError(f"order {order['id']} refused, {password} {note}")


@app.task(bind=True, max_retries=2, default_retry_delay=0.1)
def flaky(self, succeed_on=99):
    if self.request.retries + 1 >= succeed_on:
        return self.request.retries
    raise self.retry(exc=ConnectionError("nobody there"), countdown=0.1)


@app.task
def nap(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
    return "rested"


@app.task
def kill_child():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def exit_process(code=1):
    raise SystemExit(code)


@app.task
def os_exit():
    os._exit(3)


@app.task(acks_late=True, reject_on_worker_lost=True)
def kill_child_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second run"


@app.task(time_limit=1)
def too_long():
    time.sleep(60)


@app.task(soft_time_limit=1)
def soft_limit():
    time.sleep(60)


@app.task
def ignore():
    raise Ignore


@app.task
def reject():
    raise Reject("no good", requeue=False)


@app.task(acks_late=True)
def reject_late():
    raise Reject("no good", requeue=False)


@app.task(acks_late=True)
def requeue_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        raise Reject("later", requeue=True)
    return "after requeue"


@app.task(bind=True)
def replace(self, x):
    return self.replace(add.s(x, 1))


@app.task(bind=True, max_retries=3)
def replace_by_group(self, x):
    if not self.request.retries:
        raise self.retry(countdown=0)
    return self.replace(group(add.s(x, n) for n in range(3)))


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def spawner(n):
    """Publish children: a plain one, a group and a chord."""
    add.delay(n, n)
    group(add.s(n, i) for i in range(2)).apply_async()
    chord([add.s(n, i) for i in range(2)], total.s()).apply_async()
    return n


@app.task
def talk(lines=3):
    for i in range(lines):
        logger.info("line %s", i)
    plain.warning("careful")
    print("printed")
    return "said"


class Breaks(Task):
    abstract = True

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        raise RuntimeError("the handler broke too")


@app.task(base=Breaks)
def breaks_celery():
    raise ValueError("first")


@app.task(ignore_result=True)
def no_result():
    return "unseen"


@app.task(acks_late=True)
def nap_late(seconds):
    return nap(seconds)


@app.task(bind=True, max_retries=1)
def retry_for(self, user):
    """Retry once; publish a child for somebody else."""
    if not self.request.retries:
        raise self.retry(countdown=0)
    with as_user(user):
        return add.delay(1, 1).id


if os.environ.get("APP_HIDDEN"):  # a task that only workers know, published by name

    @app.task
    def hidden(name, password):
        return len(password)
