"""The two ways of reading a COPY, off the socket and by the client library, are one to whoever asks."""

import threading
from typing import Any

import psycopg
import pytest

from orakul.errors import SourceError
from orakul.exports.plan import Csv
from orakul.sources import postgres
from orakul.sources.postgres import PostgresSource

ODD = (
    "SELECT g AS n, CASE g % 7 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'two\\nlines\\r\\n' "
    "WHEN 3 THEN '\"hi\", you' WHEN 4 THEN 'ёлка; №1, да' WHEN 5 THEN E'd\\\\.' ELSE repeat('d', g % 700) END AS t "
    "FROM generate_series(1, 50000) AS g"
)
ENDLESS = "SELECT generate_series(1, 9000000000) AS n"
WIDE = "SELECT g AS n, repeat('a\"b', g * 300000) AS t FROM generate_series(1, 6) AS g"


@pytest.fixture(params=["off the socket", "by the library"])
def url(request: pytest.FixtureRequest, empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "by the library":
        monkeypatch.setattr(postgres, "may_read_directly", lambda _: False)
    return empty_database_url


def lists(url: str, sql: str, form: Csv | None = None) -> list[list[Any]]:
    with PostgresSource(url) as source:
        found = source.csv(sql, {}, form or Csv())
        assert found is not None
        with found as rows:
            return list(rows)


@pytest.mark.parametrize("sql", [ODD, WIDE, "SELECT 1 AS n WHERE false"])
@pytest.mark.parametrize("form", [Csv(), Csv(line_end="crlf", delimiter=";", quoting="all", encoding="cp1251")])
def test_each_row_comes_once_and_whole(url: str, sql: str, form: Csv) -> None:
    rows = [bytes(row) for each in lists(url, sql, form) for row in each]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        options = "FORMAT csv" if form == Csv() else "FORMAT csv, DELIMITER ';', FORCE_QUOTE *, ENCODING 'WIN1251'"
        with cursor.copy(f"COPY ({sql}) TO STDOUT ({options})".encode()) as copy:
            wanted = [bytes(row) for row in copy]
    end = b"\n" if form == Csv() else b"\r\n"
    assert rows == [row[:-1] + end for row in wanted]


def test_wide_rows_are_not_piled_up(url: str) -> None:
    sql = "SELECT repeat('x', 1000000) AS t FROM generate_series(1, 40) AS g"
    sizes = [sum(map(len, each)) for each in lists(url, sql)]
    assert sum(sizes) == 40 * 1_000_001
    assert max(sizes) < 8_000_000


def test_rows_of_a_slow_query_are_given_while_it_runs(url: str) -> None:
    assert (
        len(lists(url, "SELECT repeat('x', 9000) AS t, pg_sleep(0.3)::text AS s FROM generate_series(1, 4) AS g")) > 1
    )


def test_an_error_in_the_middle_has_the_server_words(url: str) -> None:
    sql = (
        "SELECT CASE WHEN g = 70000 THEN ('[' || g)::jsonb::text ELSE g::text END AS n FROM generate_series(1, 99999) g"
    )
    with pytest.raises(SourceError, match="invalid input syntax for type json") as caught:
        lists(url, sql)
    assert "DETAIL:" in str(caught.value)


def test_a_connection_that_is_ended_is_an_error(url: str) -> None:
    with PostgresSource(url) as source:
        found = source.csv(ENDLESS, {}, Csv())
        assert found is not None
        with found as rows, psycopg.connect(url, autocommit=True) as other:
            reading = iter(rows)
            assert next(reading)
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'orakul export'"
            )
            with pytest.raises(SourceError, match=r"terminat|closed|lost|reset"):
                for _ in reading:
                    pass


def test_cancelled_while_nobody_reads_it_ends(url: str) -> None:
    with PostgresSource(url) as source:
        found = source.csv(ENDLESS, {}, Csv())
        assert found is not None
        with found as rows:
            reading = iter(rows)
            assert next(reading)
            stopping = threading.Thread(target=source.cancel)
            stopping.start()
            stopping.join()
            with pytest.raises(SourceError, match=r"cancel"):
                for _ in reading:
                    pass
