"""The bookshop's bookkeeping: a small program that explains itself by operations.

Runs as a process of its own: `python -m orakul.cli.demo.accounts --owners anna,boris`.
"""

import argparse
import random
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from orakul.operations import CarryingExecutor, OperationContext, annotate, configure, operation, step
from orakul.operations.recovery import retrying
from orakul.settings import OperationsSettings

_SECONDS_BETWEEN = 9.0
_SHOPS = ["Almaty", "Berlin", "Kazan", "Lisbon", "Tbilisi"]

chance = random.Random()  # noqa: S311 (sample work, no secrets)


@operation("READ_TILL")
@retrying(3, on=ConnectionError, delay=0.2)
def read_till(shop: str) -> list[int]:
    """Fetch the day's receipts of one shop; its line is bad at times."""
    step("connect", target=f"{shop} till")
    time.sleep(chance.uniform(0.1, 0.6))
    if chance.random() < 0.1:  # noqa: PLR2004 (one in ten)
        raise ConnectionError(f"{shop}: the line broke")
    receipts = [chance.randint(300, 9000) for _ in range(chance.randint(20, 200))]
    step("read", target=f"{shop} receipts", result=receipts)
    return receipts


@operation("BALANCE")
def balance(receipts: Sequence[int]) -> dict[str, Any]:
    """Compare the till with the bank; a difference is a failure that is returned, not raised."""
    for _ in range(chance.randint(5, 40)):
        step("match receipt", target="bank statement")
    time.sleep(len(receipts) / 2000)
    if chance.random() < 0.005:  # noqa: PLR2004 (one in two hundred)
        return {"success": False, "error": f"the till is {chance.randint(1, 99)}.{chance.randint(10, 99)} € short"}
    return {"success": True, "cents": sum(receipts)}


@operation("PRINT_LEDGER")
def print_ledger(totals: Sequence[int]) -> str:
    """Print the day; the printer is out of paper now and then."""
    time.sleep(0.3)
    if chance.random() < 0.005:  # noqa: PLR2004 (one in two hundred)
        raise OSError("the printer is out of paper")
    return f"ledger of {len(totals)} shops, {sum(totals) / 100:.2f} €"


@operation("CLOSE_DAY")
def close_day(shops: Sequence[str]) -> int:
    """Close the day: read every till, balance each, print the ledger."""
    with CarryingExecutor(max_workers=3) as pool:
        receipts = list(pool.map(read_till, shops))
    results = [balance(each) for each in receipts]
    totals = [result["cents"] for result in results if result["success"]]
    annotate(shops=len(shops))
    print_ledger(totals)
    return sum(totals)


def main() -> None:
    """Close day after day, for one owner after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--owners", default="anna")
    owners = parser.parse_args().owners.split(",")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    configure(OperationsSettings(record=True))
    while True:
        with OperationContext(user=chance.choice(owners), session=f"day-{chance.randint(1, 365)}"):
            try:
                close_day(chance.sample(_SHOPS, 3))
            except (OSError, ConnectionError) as error:
                print(f"the day could not be closed: {error}", flush=True)
        time.sleep(_SECONDS_BETWEEN)


if __name__ == "__main__":
    main()
