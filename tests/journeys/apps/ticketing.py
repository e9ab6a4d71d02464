"""A ticket office: a web application that sends tasks, all of whose lines are ECS; one call each."""

import logging
import os

import structlog
from celery import Celery
from celery.utils.log import get_task_logger
from fastapi import FastAPI

from orakul.runners.celery import install
from orakul.telemetry import CorrelationMiddleware, ElasticsearchHandler, set_up, set_up_logs

if "APP_PLAIN" not in os.environ:
    address = os.environ.get("APP_ELASTIC")
    set_up_logs("tickets", environment="test", also=[ElasticsearchHandler(address, every=0.1)] if address else [])

app = Celery("ticketing", broker=os.environ["APP_BROKER"])
app.conf.task_default_queue = os.environ["APP_QUEUE"]
app.conf.broker_connection_retry_on_startup = True
install(app)
web = FastAPI()
set_up("tickets", app=web, celery=app)
web.add_middleware(CorrelationMiddleware)
log = logging.getLogger("tickets")
task_log = get_task_logger(__name__)


@app.task
def book(seat, card_number=None):
    task_log.info("booking seat %s", seat, extra={"seat": seat})
    structlog.get_logger("prices").info("priced", seat=seat, price=12.5)
    print("printed by the task")
    log.info("pays with %s", card_number)
    if seat == 13:
        raise ValueError("no seat 13")
    return seat


@web.post("/book/{seat}")
def order(seat: int):
    log.info("order for %d", seat)
    sent = book.apply_async((seat,), {"card_number": "4111-1111-1111"}, headers={"orakul_user": "ann"})
    return {"task": sent.id}
