"""The application of the tests of metrics: tasks that end in every way."""

import os
import signal
import time
from pathlib import Path

from celery import Celery
from celery.exceptions import Ignore, Reject

from orakul.runners.celery import install

app = Celery("measured", broker=os.environ["APP_BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_routes={"measured.post": {"queue": "mail"}},
)
install(app)


@app.task
def add(x, y):
    return x + y


@app.task
def nap(seconds, place):
    Path(place).write_text(str(os.getpid()))
    time.sleep(seconds)


@app.task
def post(to):
    return to


@app.task
def fail():
    raise ValueError("on purpose")


@app.task
def sometimes(number):
    if number % 20 == 0:
        raise ValueError("one of twenty")
    time.sleep(number % 5 / 100)


@app.task(bind=True, max_retries=3, default_retry_delay=0)
def flaky(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)


@app.task
def ignore():
    raise Ignore


@app.task(acks_late=True)
def reject():
    raise Reject("no use", requeue=False)


@app.task
def die():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(time_limit=1)
def overrun():
    time.sleep(30)
