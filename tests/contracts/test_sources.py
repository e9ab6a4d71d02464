"""What every source that exports read from must do; each installed one is tested, over its real database."""

import datetime as dt
import decimal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import free_port

from orakul import extensions
from orakul.errors import SourceError
from orakul.exports.plan import Csv
from orakul.exports.source import KIND, CsvSource, Kind, open_source, source_name

D = decimal.Decimal
TEXTS = ["", "О'Брайен; «ёлка»", 'say "hi", twice', "two\nlines\r\n", "\\N \\. tab\t", None, "🎷", " a "]


@pytest.fixture(params=extensions.names("orakul.sources"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def moment(*parts: int) -> dt.datetime:
    """A moment of a database without zones."""
    return dt.datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001  # that is what it is


class World:
    """A database of one kind, and the words in which it says what the laws ask for."""

    numbers = "SELECT g AS n FROM generate_series(1, {count}) AS s(g) ORDER BY g"
    fails = "SELECT 1 / (70000 - g) AS n FROM generate_series(1, 100000) AS s(g)"
    endless = "SELECT generate_series(1, 9000000000) AS n"
    decimal = "numeric(12, 2)"
    moment = "timestamptz"
    bytes = "bytea"

    def __init__(self, url: str, away: str) -> None:
        self.url, self.away = url, away

    def run(self, sql: str, rows: list[tuple[Any, ...]] | None = None) -> None:
        raise NotImplementedError


class PostgresWorld(World):
    def run(self, sql: str, rows: list[tuple[Any, ...]] | None = None) -> None:
        import psycopg

        with psycopg.connect(self.url.removeprefix("sqlalchemy+"), autocommit=True) as connection:
            cursor = connection.cursor()
            if rows is None:
                cursor.execute(sql.encode())
            else:
                cursor.executemany(sql.replace("?", "%s").encode(), rows)


class SQLiteWorld(World):
    _counting = "WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < {count}) SELECT "
    numbers = _counting + "g AS n FROM s"
    fails = numbers.format(count=100000).replace("g AS n", "abs(iif(g = 70000, -9223372036854775807 - 1, g)) AS n")
    endless = numbers.format(count=9000000000)
    decimal = "DECIMAL(12, 2)"
    moment = "TEXT"
    bytes = "BLOB"

    def run(self, sql: str, rows: list[tuple[Any, ...]] | None = None) -> None:
        with sqlite3.connect(self.url.removeprefix("sqlite:///")) as connection:
            if rows is None:
                connection.execute(sql)
            else:
                connection.executemany(sql, [[_plain(each) for each in row] for row in rows])
        connection.close()


class DuckDBWorld(World):
    numbers = "SELECT g AS n FROM range(1, {count} + 1) AS s(g)"
    fails = "SELECT CASE WHEN g = 70000 THEN error('division by zero') ELSE g END AS n FROM range(100000) AS s(g)"
    endless = "SELECT g AS n FROM range(9000000000) AS s(g)"
    bytes = "BLOB"

    def run(self, sql: str, rows: list[tuple[Any, ...]] | None = None) -> None:
        import duckdb

        with duckdb.connect(self.url.removeprefix("duckdb:///")) as connection:
            if rows is None:
                connection.execute(sql)
            else:
                connection.executemany(sql, rows)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, (D, dt.date, dt.datetime)) else value


@pytest.fixture
def world(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    if name in {"postgresql", "sqlalchemy"}:
        url = str(request.getfixturevalue("empty_database_url"))
        prefix = "sqlalchemy+" if name == "sqlalchemy" else ""
        yield PostgresWorld(prefix + url, f"{prefix}postgresql://nobody@127.0.0.1:{free_port()}/none")
    elif name in {"sqlite", "duckdb"}:
        found = (SQLiteWorld if name == "sqlite" else DuckDBWorld)(
            f"{name}:///{tmp_path}/it.db", f"{name}:///{tmp_path}/none.db"
        )
        found.run("CREATE TABLE unused (n INTEGER, t VARCHAR(10))")
        yield found
    else:
        pytest.fail(f"give the source {name} a World above, so that it is tested")


def read(world: World, sql: str, parameters: dict[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
    with open_source(world.url) as source, source.query(sql, parameters or {}, **options) as rows:
        return [row for batch in rows for row in batch.to_pylist()]


def test_urls_of_its_scheme_lead_to_it(name: str, world: World) -> None:
    assert source_name(world.url) == name
    assert source_name("mysql+pymysql://u@h/d") == "sqlalchemy"
    assert source_name("postgresql+asyncpg://u@h/d") == "postgresql"


def test_values_come_as_they_are_stored(name: str, world: World) -> None:
    world.run(
        f"CREATE TABLE kinds (id BIGINT, price {world.decimal}, weight DOUBLE PRECISION, label VARCHAR(100), "
        f"sold DATE, seen TIMESTAMP, good BOOLEAN, raw {world.bytes})"
    )
    rows = [
        (
            1,
            D("79.90"),
            0.1,
            "Ель",
            dt.date(2025, 12, 1),
            moment(2025, 12, 1, 23, 59, 59, 250000),
            True,
            b"\0\xff'",
        ),
        (-(2**63), D("-9999999999.99"), 1e300, "", dt.date(1, 1, 1), moment(1969, 12, 31), False, b""),
        (2**63 - 1, D("0.01"), -2.5e-300, None, dt.date(9999, 12, 31), moment(2024, 2, 29), True, b"\\x00"),
        (None,) * 8,
    ]
    world.run("INSERT INTO kinds VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    found = read(world, "SELECT * FROM kinds")
    if name == "sqlalchemy":  # it knows no scale, so decimals are exact texts, marked as numbers
        found = [{**row, "price": None if row["price"] is None else D(row["price"])} for row in found]
    assert [tuple(row.values()) for row in found] == rows


def test_texts_keep_every_letter_and_null_is_not_empty(world: World) -> None:
    world.run("CREATE TABLE texts (id INTEGER, t VARCHAR(100))")
    world.run("INSERT INTO texts VALUES (?, ?)", list(enumerate(TEXTS)))
    assert [row["t"] for row in read(world, "SELECT t FROM texts ORDER BY id")] == TEXTS


def test_parameters_are_values_and_never_sql(world: World) -> None:
    world.run("CREATE TABLE texts (id INTEGER, t VARCHAR(100))")
    world.run("INSERT INTO texts VALUES (?, ?)", list(enumerate(TEXTS)))
    for number, text in enumerate(TEXTS):
        if text is not None:
            sql = "SELECT id, ':t' AS kept FROM texts WHERE t = :t -- not :this\n"
            assert read(world, sql, {"t": text}) == [{"id": number, "kept": ":t"}]
    assert read(world, "SELECT id FROM texts WHERE t = :t", {"t": "' OR 1 = 1 --"}) == []
    assert [
        row["id"] for row in read(world, "SELECT id FROM texts WHERE id IN (:ids) ORDER BY 1;", {"ids": [1, 3]})
    ] == [1, 3]
    assert read(world, "SELECT id FROM texts WHERE id IN (:ids)", {"ids": []}) == []
    number = read(world, "SELECT id FROM texts WHERE id > :low AND id < :high", {"low": 2, "high": 4})
    assert number == [{"id": 3}]


def test_columns_are_chosen_by_name_and_in_order(world: World) -> None:
    sql = "SELECT 1 AS one, 'x' AS amount, 3 AS three"
    assert read(world, sql, columns=("three", "amount")) == [{"three": 3, "amount": "x"}]
    assert list(read(world, sql, columns=("three", "amount"))[0]) == ["three", "amount"]
    with pytest.raises(SourceError, match="no column amout; did you mean amount"):
        read(world, sql, columns=("amout",))
    with pytest.raises(SourceError, match="two columns the name one"):
        read(world, "SELECT 1 AS one, 2 AS one")


def test_no_rows_still_have_columns(world: World) -> None:
    world.run("CREATE TABLE empty (id INTEGER, t VARCHAR(100))")
    with open_source(world.url) as source, source.query("SELECT * FROM empty", {}) as rows:
        assert rows.schema.names == ["id", "t"]
        assert sum(batch.num_rows for batch in rows) == 0


def test_a_hundred_columns(world: World) -> None:
    sql = "SELECT " + ", ".join(f"{number} AS column_{number}" for number in range(100))
    assert read(world, sql) == [{f"column_{number}": number for number in range(100)}]


def test_many_rows_come_in_order(world: World) -> None:
    with open_source(world.url) as source, source.query(world.numbers.format(count=300_000), {}) as rows:
        batches = [batch.column(0).to_pylist() for batch in rows]
    assert [number for batch in batches for number in batch] == list(range(1, 300_001))


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT * FROM no_such_table", "SELECT no_such_column FROM unused", ""])
def test_bad_sql_is_an_error_in_the_database_own_words(world: World, sql: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(world, sql)
    assert str(caught.value).strip()
    if "such_table" in sql:
        assert "no_such_table" in str(caught.value)


def test_an_error_in_the_middle_of_the_rows_is_an_error(world: World) -> None:
    with pytest.raises(SourceError, match=r"(?i)zero|overflow"):
        read(world, world.fails)


def test_a_database_that_is_away_is_an_error(world: World) -> None:
    with pytest.raises(SourceError), open_source(world.away) as source, source.query("SELECT 1", {}):
        pass


@pytest.mark.parametrize("form", ["batches", "csv"])
def test_what_runs_can_be_cancelled_from_another_thread(world: World, form: str) -> None:
    ended = threading.Event()
    caught: list[BaseException] = []
    began = threading.Event()
    source = open_source(world.url)

    def work() -> None:
        try:
            if form == "csv" and isinstance(source, CsvSource):
                rows: Any = source.csv(world.endless, {}, Csv())
            else:
                rows = source.query(world.endless, {})
            with rows:
                for _ in rows:
                    began.set()
        except SourceError as error:
            caught.append(error)
        finally:
            ended.set()

    with source:
        threading.Thread(target=work, daemon=True).start()
        assert began.wait(60)
        source.cancel()
        assert ended.wait(60)
        assert caught
        with pytest.raises(SourceError):
            source.query("SELECT 1", {})


def test_a_query_that_gives_nothing_yet_can_be_cancelled(world: World) -> None:
    sql = f"SELECT count(*) AS n FROM ({world.endless}) AS e"  # noqa: S608  # constants
    source = open_source(world.url)
    caught: list[BaseException] = []

    def work() -> None:
        try:
            with source.query(sql, {}) as rows:
                list(rows)
        except SourceError as error:
            caught.append(error)

    with source:
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(0.5)
        source.cancel()
        deadline = time.monotonic() + 60
        while worker.is_alive() and time.monotonic() < deadline:
            source.cancel()
            worker.join(0.2)
    assert caught


def test_memory_is_bounded_whatever_the_size(world: World) -> None:
    wide = world.numbers.format(count=1_500_000).replace("g AS n", "g AS n, '" + "x" * 300 + "' AS t")
    script = f"""
        import re
        from orakul.exports.source import open_source
        with open_source({world.url!r}) as source, source.query({wide!r}, {{}}) as rows:
            assert sum(batch.num_rows for batch in rows) == 1_500_000
        # Not ru_maxrss: that remembers how large the process was that started this one.
        print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300, "460 MB of values went through it"


def test_what_arrow_has_no_type_for_is_marked_text(name: str, world: World) -> None:
    if name == "postgresql":
        sql = (
            "SELECT 1.50::numeric AS n, '{\"a\": 1}'::jsonb AS j, '10.0.0.1'::inet AS i, interval '1 day 2:00' AS v, "
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS u, ARRAY[1, NULL, 3] AS a, ARRAY['é', ''] AS t, "
            "timestamptz '2025-12-01 15:00+03' AS z, time '12:30' AS c, int4range(1, 5) AS r, 'x'::\"char\" AS q"
        )
        with open_source(world.url) as source, source.query(sql, {}) as rows:
            kinds = {field.name: (field.metadata or {}).get(KIND) for field in rows.schema}
            (row,) = [row for batch in rows for row in batch.to_pylist()]
        assert row == {
            "n": "1.50",
            "j": '{"a": 1}',
            "i": "10.0.0.1",
            "v": "1 day 02:00:00",
            "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a": [1, None, 3],
            "t": ["é", ""],
            "z": dt.datetime(2025, 12, 1, 12, tzinfo=dt.UTC),
            "c": dt.time(12, 30),
            "r": "[1,5)",
            "q": "x",
        }
        assert (kinds["n"], kinds["j"], kinds["i"]) == (Kind.NUMBER.encode(), Kind.JSON.encode(), Kind.OTHER.encode())
    elif name == "duckdb":
        sql = (
            "SELECT 170141183460469231731687303715884105727::HUGEINT AS h, uuid '" + str(uuid.UUID(int=7)) + "' AS u, "
            "[1, NULL] AS a, {'x': 1.5} AS s, TIMESTAMPTZ '2025-12-01 15:00:00+03' AS z, INTERVAL 1 DAY AS v, "
            "'b'::ENUM('a', 'b') AS e"
        )
        (row,) = read(world, sql)
        assert row == {
            "h": "170141183460469231731687303715884105727",
            "u": str(uuid.UUID(int=7)),
            "a": [1, None],
            "s": {"x": D("1.5")},
            "z": dt.datetime(2025, 12, 1, 12, tzinfo=dt.UTC),
            "v": "1 day",
            "e": "b",
        }
    else:
        (row,) = read(world, "SELECT 1.5 AS n, 'x' AS t, NULL AS lacking")
        assert (float(row["n"]), row["t"], row["lacking"]) == (1.5, "x", None)
