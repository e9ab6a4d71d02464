"""A shop whose requests are traced through its tasks: Celery's side."""

import os
import urllib.request

import httpx
import psycopg
import requests
import sqlalchemy
from celery import Celery, chain, chord, group
from celery.signals import worker_process_init
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from orakul import telemetry
from orakul.runners.celery import install
from orakul.telemetry import correlation_id

app = Celery("traced", broker=os.environ["APP_BROKER"], backend=os.environ.get("APP_BACKEND"))
app.conf.update(broker_connection_retry_on_startup=True, task_default_queue=os.environ["APP_QUEUE"])
if os.environ.get("APP_FIRST") == "telemetry":
    telemetry.set_up("shop", celery=app)
install(app)
telemetry.set_up("shop", celery=app)
if os.environ.get("APP_OWN"):

    @worker_process_init.connect
    def own(**_):
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
        CeleryInstrumentor().instrument()


database = os.environ["ORAKUL_DATABASE_URL"]
engine = sqlalchemy.create_engine("sqlite://")
stock = os.environ.get("STOCK_URL", "")


@app.task
def order(item):
    with psycopg.connect(database) as connection:
        connection.execute("SELECT 'the order'")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 'in memory'"))
    answers = [httpx.get(f"{stock}/stock/{item}").json(), requests.get(f"{stock}/stock/{item}", timeout=30).json()]
    with urllib.request.urlopen(f"{stock}/stock/{item}") as answer:  # noqa: S310 (its own service)
        answers.append(answer.read().decode().strip('"'))
    return {"correlation": correlation_id(), "stock": answers}


@app.task
def add(x, y):
    return x + y


@app.task
def broken():
    raise ValueError("no such item")


@app.task(bind=True, max_retries=2)
def flaky(self):
    if self.request.retries == 0:
        raise self.retry(exc=ConnectionError("the bank"), countdown=0)
    return correlation_id()


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def flow():
    chain(add.s(1, 2), add.s(3)).apply_async()
    group(add.s(1, 1), add.s(2, 2)).apply_async()
    return chord([add.s(5, 5), add.s(6, 6)])(total.s()).id
