"""Customers, suppliers and clocks of the bookshop: gives the demo's worker something to do, at a gentle pace.

Runs as a process of its own: `python -m orakul.cli.demo.feeder --owners anna,boris`.
"""

import argparse
import logging
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from celery import chain, chord, group

from orakul import as_user
from orakul.cli.demo import shop
from orakul.cli.demo.exporting import PLAN
from orakul.events import current_user
from orakul.exports.names import new_run_id
from orakul.exports.order import ExportOrder
from orakul.runners.celery.exports import CeleryCarrier
from orakul.settings import load_settings

_SHOPS = ["Almaty", "Berlin", "Chelyabinsk", "Dortmund", "Graz", "Kazan", "Lisbon", "Omsk", "Tbilisi", "Yerevan"]
_TITLES = ["Solaris", "Roadside Picnic", "The Master and Margarita", "Dead Souls", "We", "Oblomov", "The Twelve Chairs"]
_NAMES = ["ivan", "maria", "oleg", "sofia", "timur", "vera", "zarina", "lukas", "emma", "noah"]
_BANKS = ["ECB", "National Bank", "Bank of Utopia"]
_SECONDS_BETWEEN = 1.6
_ENOUGH_WAITING = 60

chance = random.Random()  # noqa: S311 (sample work, no secrets)
log = logging.getLogger("feeder")


def _order() -> None:
    number = chance.randint(1000, 999_999)
    titles = chance.sample(_TITLES, chance.randint(1, 3))
    card = f"4000 1234 5678 {chance.randint(0, 9999):04d}"
    chain(
        shop.check_payment.s(number, f"{chance.randint(900, 9000) / 100:.2f}", card_number=card),
        shop.reserve_stock.s(titles),
        shop.pack.s(),
        shop.send_receipt.s(f"{chance.choice(_NAMES)}@example.com"),
    ).apply_async()


def _pictures() -> None:
    picture = f"cover-{chance.randint(100, 999)}.png"
    group(shop.resize.s(picture, width) for width in chance.sample([64, 128, 256, 512, 1024], 3)).apply_async()


def _index() -> None:
    shelves = chance.sample(["A–D", "E–K", "L–P", "Q–S", "T–Z", "Children", "Maps"], 4)
    chord([shop.index_part.s(shelf) for shelf in shelves], shop.publish_index.s()).apply_async()


def _report() -> None:
    day = date.today() - timedelta(days=chance.randint(1, 9))  # noqa: DTZ011 (a day of the shop's calendar)
    shop.sales_report.delay(day.isoformat(), chance.sample(_SHOPS, chance.randint(4, 8)))


def _catalogue() -> None:
    shop.render_catalogue.delay(chance.choice([6, 9, 12, 40]))


def _prices() -> None:
    rows = [f"978-5-{chance.randint(1000, 9999)},{chance.randint(300, 4000) / 100:.2f}" for _ in range(12)]
    if chance.random() < 0.5:  # noqa: PLR2004 (half of the suppliers are careless)
        rows[chance.randrange(12)] = chance.choice(["978-5-0001,12;50", "978-5-0002,-3.00", "978-5-0003,on request"])
    supplier = chance.choice(["North Books", "Paper & Sons", "Knizhny Dvor"])
    shop.import_prices.delay(supplier, "isbn,price\n" + "\n".join(rows))


def _rates() -> None:
    shop.fetch_rates.delay(chance.choice(_BANKS))


def _reminder() -> None:
    shop.remind.apply_async((chance.choice(_NAMES), chance.sample(_TITLES, 2)), countdown=chance.randint(15, 90))


def _account() -> None:
    shop.create_account.delay(f"{chance.choice(_NAMES)}@example.com", password=f"{chance.getrandbits(64):x}")


def _export() -> None:
    """Order all groups of the bookshop's plan, as the page Exports does where there is a fleet."""
    run_id = new_run_id()
    order = ExportOrder(run_id=run_id, task_id=run_id, plan=PLAN, user_id=current_user())
    CeleryCarrier(load_settings()).send(order)


def _sweep() -> None:
    shop.sweep_baskets.delay()


_WORK: list[tuple[int, Callable[[], None]]] = [
    (9, _order),
    (4, _pictures),
    (2, _index),
    (2, _report),
    (1, _catalogue),
    (4, _prices),
    (3, _rates),
    (3, _reminder),
    (3, _account),
    (1, _export),
    (2, _sweep),
]


def opening(owners: Sequence[str]) -> None:
    """Give the page something to show at once: one of each kind, and a row of short ones."""
    for _, work in _WORK:
        with as_user(chance.choice(owners)):
            work()
    for _ in range(30):
        with as_user(chance.choice(owners)):
            chance.choice([_sweep, _sweep, _account, _pictures])()
    for _ in range(3):
        with as_user(chance.choice(owners)):
            _prices()


def main() -> None:
    """Feed until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--owners", required=True)
    parser.add_argument("--opening", action="store_true")
    options = parser.parse_args()
    owners = options.owners.split(",")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # what is recorded is in the spool already
    if options.opening:
        opening(owners)
    weights = [weight for weight, _ in _WORK]
    while True:
        time.sleep(_SECONDS_BETWEEN * chance.uniform(0.3, 1.7))
        try:
            if _waiting() < _ENOUGH_WAITING:  # a paused queue does not grow for ever
                with as_user(chance.choice(owners)):
                    chance.choices(_WORK, weights)[0][1]()
        except Exception:
            log.exception("Could not send work; trying again")
            time.sleep(2)


def _waiting() -> int:
    with shop.app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        return max(int(channel.client.llen(queue)) for queue in ("celery", "mail", "reports"))


if __name__ == "__main__":
    main()
