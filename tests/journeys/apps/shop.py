"""A shop's background work: another shape than the demo. RabbitMQ, two queues on a topic exchange, chords, ETAs,
late acknowledgement, time limits, retries; and a manifest of how each task is to end.
"""

import os
import signal
import time
from pathlib import Path

from celery import Celery, chord
from celery.exceptions import Ignore, Reject
from kombu import Exchange, Queue

from orakul.runners.celery import install

app = Celery("shop", broker=os.environ["APP_BROKER"], backend=os.environ["APP_BACKEND"])
exchange = Exchange("shop", type="topic")
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_queues=[
        Queue("orders", exchange, routing_key="order.#"),
        Queue("reports", exchange, routing_key="report.#"),
    ],
    task_default_queue="orders",
    task_default_exchange="shop",
    task_default_exchange_type="topic",
    task_default_routing_key="order.new",
    task_routes={"shop.report_*": {"queue": "reports", "routing_key": "report.daily"}},
    task_ignore_result=True,
    worker_prefetch_multiplier=8,
)
install(app)
MARKS = Path(os.environ.get("APP_MARKS", "."))


@app.task
def price(item):
    return item * 2


@app.task
def report_line(item):
    return {"item": item}


@app.task
def refuse(item):
    raise ValueError(f"no {item}")


@app.task(bind=True, max_retries=2)
def charge(self, item, works_on):
    if self.request.retries + 1 < works_on:
        raise self.retry(exc=ConnectionError("bank"), countdown=0.2)
    return item


@app.task(ignore_result=False)
def part(item):
    return item


@app.task
def report_total(numbers):
    return sum(numbers)


@app.task(acks_late=True, reject_on_worker_lost=True)
def ship(item):
    mark = MARKS / str(item)
    if item % 5 == 0 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


@app.task(soft_time_limit=1)
def too_slow(item):
    time.sleep(30)


@app.task(time_limit=1)
def stuck(item):
    time.sleep(30)


@app.task
def skip(item):
    raise Ignore


@app.task
def refuse_message(item):
    raise Reject("unreadable", requeue=False)


def publish(total):
    """Publish `total` tasks; return how each is to end: id → [status, attempt]."""
    expected = {}

    def add(result, status, attempt=1):
        expected[result.id] = [status, attempt]

    for _ in range(100):
        header = [part.s(i) for i in range(5)]
        body = chord(header)(report_total.s())
        add(body, "completed")
        for member in body.parent.results:
            add(member, "completed")
    for n in range(100):
        add(ship.delay(n), "completed")
    for n in range(300):
        add(price.apply_async((n,), countdown=1 + n % 3), "completed")
    for n in range(600):
        add(charge.delay(n, 2), "completed", 2)
    for n in range(200):
        add(charge.delay(n, 9), "failed", 3)
    for n in range(1000):
        add(refuse.delay(n), "failed")
    for n in range(60):
        add(skip.delay(n), "completed")
        add(refuse_message.delay(n), "failed")
    for n in range(6):
        add(too_slow.delay(n), "failed")
        add(stuck.delay(n), "failed")
    for n in range(total - len(expected)):
        add((report_line if n % 2 else price).delay(n), "completed")
    return expected
