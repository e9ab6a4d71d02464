"""A bookshop's background work: the sample that the demo runs. An ordinary Celery application with one line of Orakul.

It is started as a process of its own (`celery --app orakul.cli.demo.shop worker`), as a user's worker would be.
"""

import csv
import io
import os
import random
import time
from decimal import Decimal, InvalidOperation
from typing import Any

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_process_init
from celery.utils.log import get_task_logger

from orakul.cli.demo.children import end_with_parent
from orakul.runners import celery as orakul_celery

log = get_task_logger("bookshop")  # not one of Orakul's own loggers, whose lines are no task's

BROKER = os.environ.get("ORAKUL_CELERY_BROKER", "redis://127.0.0.1:6379/0")

app = Celery("bookshop", broker=BROKER, backend=BROKER)
app.conf.update(
    task_default_queue="celery",
    task_routes={"mail.*": {"queue": "mail"}, "reports.*": {"queue": "reports"}},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    result_expires=600,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 600},
)
orakul_celery.install(app)  # the one line

worker_process_init.connect(lambda **_: end_with_parent(), weak=False)

chance = random.Random()  # noqa: S311 (sample work, no secrets)


class PaymentDeclinedError(Exception):
    """The bank said no."""


class WarehouseBusyError(Exception):
    """The warehouse asked to try again."""


def busy(seconds: float) -> None:
    """Take about so long, as work does that waits for disks and networks."""
    time.sleep(seconds * chance.uniform(0.6, 1.5))


# --- orders: a chain for each ---


@app.task(name="orders.check_payment")
def check_payment(order: int, amount: str, card_number: str) -> dict[str, Any]:  # noqa: ARG001 (shows that it is masked)
    """Ask the bank."""
    log.info("Order %s: asking the bank for %s €", order, amount)
    busy(0.6)
    if chance.random() < 0.06:  # noqa: PLR2004 (one in sixteen)
        raise PaymentDeclinedError(f"order {order}: the bank declined {amount} € (code 51, insufficient funds)")
    return {"order": order, "amount": amount, "authorised": True}


@app.task(bind=True, name="orders.reserve_stock", max_retries=3)
def reserve_stock(self: Any, payment: dict[str, Any], titles: list[str]) -> dict[str, Any]:
    """Reserve the books; the warehouse is at times too busy."""
    busy(0.4)
    if chance.random() < 0.25:  # noqa: PLR2004 (so that retries show)
        log.warning("Order %s: the warehouse is busy, trying again", payment["order"])
        raise self.retry(exc=WarehouseBusyError("503 from the warehouse"), countdown=2 ** (self.request.retries + 1))
    log.info("Order %s: %d books reserved", payment["order"], len(titles))
    return {**payment, "titles": titles}


@app.task(name="orders.pack")
def pack(order: dict[str, Any]) -> dict[str, Any]:
    """Pack a parcel."""
    for title in order["titles"]:
        log.info("Packing “%s”", title)
        busy(0.5)
    return {"order": order["order"], "parcel": f"P{order['order']:06d}", "weight_kg": round(chance.uniform(0.3, 4), 2)}


@app.task(name="mail.send_receipt")
def send_receipt(parcel: dict[str, Any], address: str) -> str:
    """Write to the customer."""
    busy(0.3)
    log.info("Receipt for %s sent to %s", parcel["parcel"], address)
    return f"250 OK, queued as {chance.getrandbits(40):010X}"


# --- pictures: a group ---


@app.task(name="images.resize")
def resize(picture: str, width: int) -> dict[str, Any]:
    """Make a smaller cover."""
    busy(0.7)
    return {"picture": picture, "width": width, "bytes": width * chance.randint(180, 240)}


# --- the search index: a chord ---


@app.task(name="search.index_part")
def index_part(shelf: str) -> int:
    """Index one shelf."""
    log.info("Indexing %s", shelf)
    busy(1.5)
    return chance.randint(800, 4000)


@app.task(name="search.publish_index")
def publish_index(counts: list[int]) -> dict[str, int]:
    """Switch to the new index when all shelves are in."""
    busy(0.5)
    log.info("The new index has %d books", sum(counts))
    return {"shelves": len(counts), "books": sum(counts)}


# --- reports: long, with a log that grows ---


@app.task(name="reports.sales", soft_time_limit=120)
def sales_report(day: str, shops: list[str]) -> dict[str, Any]:
    """Add up a day, shop by shop."""
    totals: dict[str, str] = {}
    try:
        for number, shop in enumerate(shops, 1):
            busy(3)
            totals[shop] = str(Decimal(chance.randint(10_000, 900_000)) / 100)
            log.info("%s: %s € (%d of %d)", shop, totals[shop], number, len(shops))
            orakul_celery.progress(done=number, total=len(shops), shop=shop)
    except SoftTimeLimitExceeded:
        log.warning("Stopped after %d of %d shops", len(totals), len(shops))
        raise
    return {"day": day, "totals": totals, "sum": str(sum(map(Decimal, totals.values()), Decimal(0)))}


@app.task(name="reports.render_catalogue", soft_time_limit=5, time_limit=20)
def render_catalogue(pages: int) -> str:
    """Render the catalogue; a long one takes longer than it may."""
    for page in range(1, pages + 1):
        log.info("Page %d of %d", page, pages)
        time.sleep(0.35)
    return f"https://files.example.com/catalogue-{pages}.pdf"


# --- suppliers: wrong input, real tracebacks ---


@app.task(name="suppliers.import_prices")
def import_prices(supplier: str, text: str) -> dict[str, Any]:
    """Read a supplier's price list."""
    log.info("Reading %d characters from %s", len(text), supplier)
    busy(0.8)
    prices = {row["isbn"]: _price(row) for row in csv.DictReader(io.StringIO(text))}
    return {"supplier": supplier, "prices": len(prices), "dearest": str(max(prices.values()))}


def _price(row: dict[str, str]) -> Decimal:
    try:
        price = Decimal(row["price"])
    except InvalidOperation as error:
        raise ValueError(f"ISBN {row['isbn']}: {row['price']!r} is no price") from error
    if price <= 0:
        raise ValueError(f"ISBN {row['isbn']}: a price of {price} makes no sense")
    return price


@app.task(
    bind=True,
    name="suppliers.fetch_rates",
    autoretry_for=(ConnectionError,),
    max_retries=2,
    retry_backoff=3,
    retry_jitter=False,
)
def fetch_rates(self: Any, bank: str) -> dict[str, str]:
    """Fetch exchange rates from a bank that often does not answer."""
    log.info("Asking %s, attempt %d", bank, self.request.retries + 1)
    busy(0.8)
    if chance.random() < 0.55:  # noqa: PLR2004 (so that some give up)
        raise ConnectionError(f"{bank}: connection reset by peer")
    return {"EUR/USD": f"{chance.uniform(1.05, 1.12):.4f}", "EUR/KZT": f"{chance.uniform(500, 560):.2f}"}


# --- customers ---


@app.task(name="mail.remind")
def remind(customer: str, basket: list[str]) -> str:
    """Remind somebody of a full basket, later."""
    busy(0.2)
    return f"reminded {customer} of {len(basket)} books"


@app.task(name="customers.create_account")
def create_account(email: str, password: str) -> dict[str, str]:  # noqa: ARG001 (shows that it is masked)
    """Make an account; its password is nobody's business."""
    busy(0.4)
    return {"customer": email, "state": "waiting for confirmation"}


@app.task(name="maintenance.sweep_baskets", ignore_result=True)
def sweep_baskets() -> None:
    """Throw old baskets away."""
    busy(0.1)
