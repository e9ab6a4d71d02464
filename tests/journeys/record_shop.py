"""A record shop's database, made from numbers: the usual tables of such, one of odd values, and one a hundred wide."""

import datetime as dt
import decimal
from typing import Any

D = decimal.Decimal
COUNTRIES = ["Россия", "Қазақстан", "Brasil", "Deutschland", "日本"]
WORDS = [
    "Ночь",
    "и",
    "день",
    "Rock'n'roll",
    "«Ёлка»",
    '12" mix',
    "a;b,c",
    "пауза",
    "tab\there",
    "line\nend",
    "\\N",
    "Ø",
]

TABLES = """
CREATE TABLE artist (artist_id int PRIMARY KEY, name varchar(120));
CREATE TABLE album (album_id int PRIMARY KEY, title varchar(160) NOT NULL, artist_id int NOT NULL REFERENCES artist);
CREATE TABLE track (track_id int PRIMARY KEY, name text NOT NULL, album_id int REFERENCES album, composer varchar(220),
  milliseconds int NOT NULL, bytes bigint, unit_price numeric(10, 2) NOT NULL, explicit boolean);
CREATE TABLE customer (customer_id int PRIMARY KEY, name text NOT NULL, country text, phone text, born date,
  notes json);
CREATE TABLE invoice (invoice_id int PRIMARY KEY, customer_id int REFERENCES customer, at timestamp, paid timestamptz,
  total numeric(12, 2), rate double precision, share real);
CREATE TABLE odd (id int, t text, n numeric(38, 10), free numeric, b bytea, d date, ts timestamp, tz timestamptz,
  j jsonb, f double precision, u uuid, a int[], ok boolean);
CREATE TABLE wide (id int, {wide});
"""
WIDE = [("int", 1), ("text", "ё"), ("numeric(8, 3)", D("1.250")), ("date", dt.date(2024, 2, 29)), ("boolean", True)]
TABLE_NAMES = ("artist", "album", "track", "customer", "invoice", "odd", "wide")


def local(*parts: int) -> dt.datetime:
    """Return a moment without a zone, as `timestamp` has them."""
    return dt.datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001  # that is what it is


def make(url: str) -> None:
    """Make the tables and fill them."""
    import psycopg

    wide = ", ".join(f"c{number} {WIDE[number % len(WIDE)][0]}" for number in range(99))
    with psycopg.connect(url) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(TABLES.format(wide=wide).encode())
        cursor = connection.cursor()
        for name, rows in _rows().items():
            with cursor.copy(f"COPY {name} FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)


def _rows() -> dict[str, list[tuple[Any, ...]]]:
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return {
        "artist": [(i, None if i % 11 == 0 else _words(i, 2)) for i in range(1, 276)],
        "album": [(i, _words(i, 3), 1 + i % 275) for i in range(1, 348)],
        "track": [
            (
                i,
                _words(i, 4),
                1 + i % 347,
                None if i % 3 == 0 else "" if i % 7 == 0 else _words(i, 1),
                i * 977 % 600_000,
                i * 2**33,
                D(i * 7919 % 10_000) / 100,
                [True, False, None][i % 3],
            )
            for i in range(1, 3504)
        ],
        "customer": [
            (
                i,
                _words(i, 2),
                COUNTRIES[i % 5] if i % 5 < 3 else None,
                f"+7 (495) {i:07}",
                dt.date(1950 + i, 1 + i % 12, 1 + i % 28),
                '{"a": ["б", null, 1.50]}' if i % 2 else None,
            )
            for i in range(1, 60)
        ],
        "invoice": [
            (
                i,
                1 + i % 59,
                (start + dt.timedelta(minutes=i * 37, microseconds=i)).replace(tzinfo=None),
                None if i % 4 == 0 else start + dt.timedelta(seconds=i * 11.25),
                D(-i) / 8 if i % 9 == 0 else D(i * 13) / 100,
                i**0.5,
                i / 8,
            )
            for i in range(1, 413)
        ],
        "odd": _odd(),
        "wide": [(i, *(None if (i + n) % 10 == 0 else WIDE[n % len(WIDE)][1] for n in range(99))) for i in range(300)],
    }


def _odd() -> list[tuple[Any, ...]]:
    utc = dt.UTC
    return [
        (
            1,
            "",
            D("0.0000000001"),
            D("1.10"),
            b"",
            dt.date(1, 1, 1),
            local(1, 1, 1),
            dt.datetime(1900, 1, 1, tzinfo=utc),
            "{}",
            0.1,
            "00000000-0000-0000-0000-000000000001",
            [],
            True,
        ),
        (
            2,
            None,
            D(10) ** 27,
            D("-123456789012345678901234567890.123456789"),
            b"\0\xff\n\"',;",
            dt.date(9999, 12, 31),
            local(9999, 12, 31, 23, 59, 59, 999999),
            dt.datetime(2199, 12, 31, 23, 59, 59, 1, tzinfo=utc),
            '["\\n", "\\"", {"ключ": 1.0}]',
            -1e308,
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            [1, None, -3],
            False,
        ),
        (3, '"', None, None, None, None, None, None, None, None, None, None, None),
        (
            4,
            " two\r\nlines\n",
            D("-0.5"),
            D("0"),
            b"\\x41",
            dt.date(2024, 2, 29),
            local(2024, 3, 31, 2, 30),
            dt.datetime(2024, 3, 31, 1, 30, 0, 500000, tzinfo=utc),
            "null",
            5e-324,
            "12345678-1234-5678-1234-567812345678",
            [7],
            None,
        ),
        (
            5,
            "🎷 \\ \\. \t \x01 \u2028 é",
            D(1),
            D("1E+3"),
            b"x",
            dt.date(1970, 1, 1),
            local(1970, 1, 1),
            dt.datetime(1970, 1, 1, tzinfo=utc),
            '"text"',
            1e21,
            "12345678-1234-5678-1234-567812345678",
            [2**31 - 1],
            True,
        ),
        (
            6,
            "NULL",
            D(0),
            D("0.00"),
            b"\\.",
            dt.date(2000, 1, 1),
            local(2000, 1, 1, 0, 0, 0, 1),
            dt.datetime(2000, 1, 1, tzinfo=utc),
            "[]",
            -0.0,
            "12345678-1234-5678-1234-567812345678",
            [0],
            True,
        ),
        (
            7,
            ",;\t|'",
            D(7),
            D(7),
            b"7",
            dt.date(2007, 7, 7),
            local(2007, 7, 7),
            dt.datetime(2007, 7, 7, tzinfo=utc),
            "7",
            7.0,
            "12345678-1234-5678-1234-567812345678",
            [7, 7],
            False,
        ),
    ]


def _words(seed: int, count: int) -> str:
    return " ".join(WORDS[(seed * 31 + number * 7) % len(WORDS)] for number in range(count))
