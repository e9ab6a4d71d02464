"""The bookshop's exports: a small SQLite database, made once, and a plan over it.

The plan has what exports have in life: variants, columns to choose, a script without rows, one that takes a while and
one that fails.
"""

import random
import sqlite3
from datetime import date, timedelta
from pathlib import Path

__all__ = ["PLAN", "prepare"]

PLAN = "bookshop.yaml"

_ORDERS = 60_000
_CITIES = ["Алматы", "Berlin", "Казань", "Lisboa", "თბილისი"]
_TITLES = ["Мастер и Маргарита", "The Waves", "Идиот", 'A "quoted" title', "O Livro do Desassossego", "Медный всадник"]

_PLAN = """\
# The demo's plan: run it from the page Exports, or by: orakul export bookshop.yaml --all
database: sqlite:///../bookshop.db
user: {login: anna, database_id: 1, manager_id: 7, stream_id: 3}
output: {directory: ../files, format: csv, rows_per_file: 200000, csv: {delimiter: ";", bom: true, decimal: ","}}
groups:
  - id: sales
    name: Продажи
    scripts:
      - id: orders
        name: Заказы
        columns:
          - {id: 1, name: order_id, title: Номер}
          - {id: 2, name: ordered_on, title: Дата}
          - {id: 3, name: city, title: Город}
          - {id: 4, name: title, title: Книга}
          - {id: 5, name: amount, title: Сумма}
        variants:
          - {id: open, sql: "SELECT * FROM orders WHERE status = :status", parameters: {status: open}}
          - {id: closed, sql: "SELECT * FROM orders WHERE status = :status", parameters: {status: closed}}
          - {id: returned, sql: "SELECT * FROM orders WHERE status = :status", parameters: {status: returned}}
      - id: complaints
        name: Жалобы
        variants:
          - {id: all, sql: "SELECT * FROM complaints"}
  - id: accounts
    name: Бухгалтерия
    scripts:
      - id: ledger
        name: Книга проводок
        variants:
          - id: all
            sql: >-
              WITH RECURSIVE days(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM days WHERE n < 12)
              SELECT o.order_id, o.ordered_on, o.amount, n AS entry, hex(randomblob(16)) AS voucher
              FROM orders o, days
"""


def prepare(folder: Path) -> Path:
    """Make the database and the plan in the folder, unless they are there; return the folder of plans."""
    plans = folder / "plans"
    plans.mkdir(parents=True, exist_ok=True)
    (plans / PLAN).write_text(_PLAN, "utf-8")
    database = folder / "bookshop.db"
    if not database.exists():
        aside = folder / "bookshop.db.new"
        aside.unlink(missing_ok=True)
        _fill(aside)
        aside.rename(database)
    return plans


def _fill(path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 (sample data, the same in each demo)
    first = date(2025, 1, 1)
    connection = sqlite3.connect(path)
    try:
        connection.execute(
            "CREATE TABLE orders (order_id INTEGER PRIMARY KEY, ordered_on TEXT, city TEXT, title TEXT, "
            "amount REAL, status TEXT)"
        )
        connection.execute("CREATE TABLE complaints (order_id INTEGER, text TEXT)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    number,
                    (first + timedelta(days=chance.randrange(365))).isoformat(),
                    chance.choice(_CITIES),
                    chance.choice(_TITLES),
                    chance.randrange(300, 9000) / 100,
                    chance.choices(["open", "closed", "returned"], [3, 12, 1])[0],
                )
                for number in range(1, _ORDERS + 1)
            ),
        )
        connection.commit()
    finally:
        connection.close()
