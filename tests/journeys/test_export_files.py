"""A script's files: every row and value in them, whole or not there at all."""

import datetime as dt
import decimal
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from processes import wait_for
from record_shop import TABLE_NAMES, make

from orakul.exports.plan import Column, Csv, Group, Output, Plan, Script, Variant
from orakul.exports.script import Outcome, ScriptResult, export_script

D = decimal.Decimal
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

DUCKDB_TYPES = {
    "int4": "INTEGER",
    "int8": "BIGINT",
    "text": "VARCHAR",
    "varchar": "VARCHAR",
    "numeric": "VARCHAR",
    "bytea": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "json": "JSON",
    "jsonb": "JSON",
    "float8": "DOUBLE",
    "float4": "FLOAT",
    "uuid": "VARCHAR",
    "_int4": "VARCHAR",
    "bool": "BOOLEAN",
}
FORMS: dict[str, dict[str, Any]] = {
    "csv": {"format": "csv"},
    "csv of excel": {
        "format": "csv",
        "csv": Csv(delimiter=";", bom=True, decimal=",", line_end="crlf", null="NULL", quoting="text"),
    },
    "csv, all quoted, tabs": {"format": "csv", "csv": Csv(delimiter="tab", quoting="all")},
    "csv, cut by rows, zstd": {"format": "csv", "rows_per_file": 1000, "compression": "zstd"},
    "csv, cut by bytes": {"format": "csv", "bytes_per_file": 20_000},
    "csv, by batches": {"format": "csv", "csv": Csv(datetime_format="%Y-%m-%d %H:%M:%S")},
    "parquet": {"format": "parquet"},
    "parquet, cut, snappy": {"format": "parquet", "rows_per_file": 1000, "compression": "snappy"},
    "jsonl": {"format": "jsonl"},
    "jsonl, cut by bytes": {"format": "jsonl", "bytes_per_file": 50_000},
    "jsonl, gzip": {"format": "jsonl", "compression": "gzip", "rows_per_file": 3000},
}


def plan_of(url: str, folder: Path, *sqls: str, columns: tuple[Column, ...] = (), **output: Any) -> Plan:
    variants = tuple(Variant(id=f"v{number}", sql=sql) for number, sql in enumerate(sqls, 1))
    script = Script(id="script", variants=variants, columns=columns)
    groups = (Group(id="group", scripts=(script,)),)
    return Plan(database=url, output=Output(directory=folder / "out", **output), groups=groups)


def run(plan: Plan, **options: Any) -> ScriptResult:
    group = plan.groups[0]
    return export_script(plan, group, group.scripts[0], **options)


def files_in(folder: Path) -> list[str]:
    """Return everything below the folder, what is hidden included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def shop(postgres: Any) -> str:
    import psycopg

    name = f"shop_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = postgres.url.rpartition("/")[0] + f"/{name}"
    make(url)
    return str(url)


def stored(url: str, table: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return the columns' types and the rows, as PostgreSQL has them."""
    import psycopg
    from psycopg.rows import dict_row
    from psycopg.types.string import TextLoader

    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute("SET timezone = 'UTC'")
        for kind in ("json", "jsonb"):
            connection.adapters.register_loader(kind, TextLoader)
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY 1".encode())  # noqa: S608  # a constant
        names = {info.oid: info.name for info in connection.adapters.types}
        names |= {1007: "_int4"}
        return {each.name: names[each.type_code] for each in cursor.description or ()}, cursor.fetchall()


def reread(paths: list[str], output: dict[str, Any], kinds: dict[str, str]) -> list[dict[str, Any]]:
    """Return the rows as DuckDB reads them from the files."""
    columns = {name: DUCKDB_TYPES[kind] for name, kind in kinds.items()}
    form = output.get("csv", Csv())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if output["format"] == "parquet":
            relation = connection.execute("SELECT * FROM read_parquet($1) ORDER BY 1", [paths])
        elif output["format"] == "jsonl":
            sql = "SELECT * FROM read_json($1, columns = $2, format = 'newline_delimited') ORDER BY 1"
            rows = connection.execute(sql, [paths, columns]).to_arrow_table().to_pylist()
            return [row | _numbers(document, kinds) for row, document in zip(rows, _documents(paths), strict=True)]
        else:
            if form.decimal == ",":
                columns |= {name: "VARCHAR" for name, kind in kinds.items() if kind.startswith("float")}
            delimiter = "\t" if form.delimiter == "tab" else form.delimiter
            sql = (
                "SELECT * FROM read_csv($1, columns = $2, header = true, delim = $3, quote = '\"', escape = '\"', "
                "nullstr = $4, allow_quoted_nulls = false, auto_detect = false, new_line = $5) ORDER BY 1"
            )
            new_line = "\\r\\n" if form.line_end == "crlf" else "\\n"
            relation = connection.execute(sql, [paths, columns, delimiter, form.null, new_line])
        return list(relation.to_arrow_table().to_pylist())


def _documents(paths: list[str]) -> list[dict[str, Any]]:
    """Return the lines as Python reads them, to the last digit, which DuckDB does not."""
    found = []
    for path in paths:
        opened = gzip.open if path.endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            found += [json.loads(line, parse_float=D, parse_int=D) for line in file]
    return sorted(found, key=lambda document: next(iter(document.values())))


def _numbers(document: dict[str, Any], kinds: dict[str, str]) -> dict[str, Any]:
    return {name: document[name] for name, kind in kinds.items() if kind == "numeric"}


def meant(value: Any, kind: str, *, seconds: bool = False) -> Any:
    """Return a value in the form in which the two sides are compared."""
    if value is None:
        return None
    if kind.startswith("timestamp"):
        value = value.replace(microsecond=0) if seconds else value
        return value.astimezone(dt.UTC) if value.tzinfo else value
    return MEANT.get(kind, lambda same: same)(value)


MEANT: dict[str, Callable[[Any], Any]] = {
    "numeric": lambda value: D(str(value).replace(",", ".")),
    "float4": lambda value: float(str(value).replace(",", ".")),
    "float8": lambda value: float(str(value).replace(",", ".")),
    "bytea": lambda value: bytes.fromhex(value[2:]) if isinstance(value, str) else bytes(value),
    "json": json.loads,
    "jsonb": json.loads,
    "_int4": lambda value: json.loads(value) if isinstance(value, str) else value,
    "uuid": str,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("table", TABLE_NAMES)
def test_every_row_and_value_is_in_the_files(shop: str, tmp_path: Path, table: str, form: str) -> None:
    output = FORMS[form]
    kinds, rows = stored(shop, table)
    if form == "csv, by batches" and table == "odd":
        rows, where = (
            [row for row in rows if row["id"] in {3, 4, 5, 6, 7}],
            " WHERE id > 2",
        )  # years as strftime has them
    else:
        where = ""
    result = run(plan_of(shop, tmp_path, f"SELECT * FROM {table}{where}", **output))  # noqa: S608  # constants
    assert (result.error, result.outcome, result.rows_exported) == (None, Outcome.SUCCESS, len(rows))
    seconds = form == "csv, by batches"
    found = reread([str(file.path) for file in result.files], output, kinds)
    documents = output["format"] == "jsonl"  # in which a JSON null is a null
    for row, again in zip(rows, found, strict=True):
        for name, kind in kinds.items():
            if documents and kind in {"json", "jsonb"} and row[name] is None:
                continue
            assert meant(again[name], kind, seconds=seconds) == meant(row[name], kind, seconds=seconds), (name, row)
    limit = output.get("rows_per_file")
    assert limit is None or [file.rows for file in result.files[:-1]] == [limit] * (len(result.files) - 1)
    size = output.get("bytes_per_file")
    assert size is None or all(file.bytes <= size or file.rows == 1 for file in result.files)


def test_types_of_parquet_are_those_of_the_database(shop: str, tmp_path: Path) -> None:
    result = run(plan_of(shop, tmp_path, "SELECT * FROM odd", format="parquet"))
    described = duckdb.read_parquet(str(result.files[0].path))
    assert dict(zip(described.columns, map(str, described.types), strict=True)) == {
        "id": "INTEGER",
        "t": "VARCHAR",
        "n": "DECIMAL(38,10)",
        "free": "VARCHAR",
        "b": "BLOB",
        "d": "DATE",
        "ts": "TIMESTAMP",
        "tz": "TIMESTAMP WITH TIME ZONE",
        "j": "VARCHAR",
        "f": "DOUBLE",
        "u": "VARCHAR",
        "a": "INTEGER[]",
        "ok": "BOOLEAN",
    }


def test_cp1251_for_excel_and_1c(shop: str, tmp_path: Path) -> None:
    form = Csv(delimiter=";", encoding="cp1251", decimal=",", line_end="crlf", date_format="%d.%m.%Y")
    price, day = "12.50::numeric(9, 2)", "date '2025-12-01'"
    sql = f'SELECT \'Ёлка; №1\' AS "имя", {price} AS "цена", {day} AS "день", NULL AS x, \'\' AS y'
    for csv in (form, Csv(delimiter=";", encoding="cp1251", decimal=",", line_end="crlf")):
        (file,) = run(plan_of(shop, tmp_path, sql, csv=csv)).files
        day = "01.12.2025" if csv.date_format else "2025-12-01"
        assert file.path.read_bytes().decode("cp1251") == f'имя;цена;день;x;y\r\n"Ёлка; №1";12,50;{day};;""\r\n'
        result = run(plan_of(shop, tmp_path / "letters", "SELECT '🎷' AS t", csv=csv))
        assert result.outcome is Outcome.FAILED
        assert result.error is not None
        assert "1251" in result.error.message
        assert files_in(tmp_path / "letters") == []


def test_the_manifest_names_what_is_there(shop: str, tmp_path: Path) -> None:
    plan = plan_of(shop, tmp_path, "SELECT * FROM track", "SELECT * FROM track WHERE false", rows_per_file=1000)
    result = run(plan)
    assert result.manifest is not None
    manifest = json.loads(result.manifest.read_text())
    assert [each["rows"] for each in manifest["files"]] == [1000, 1000, 1000, 503]
    assert manifest["rows"] == result.rows_exported == 3503
    for each in manifest["files"]:
        data = (plan.output.directory / each["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (each["bytes"], each["sha256"])
    assert files_in(plan.output.directory) == sorted(
        [each["name"] for each in manifest["files"]] + ["group/script.manifest.json"]
    )
    again = run(plan_of(shop, tmp_path, "SELECT * FROM track LIMIT 1500", "SELECT 1 AS one", rows_per_file=1000))
    assert files_in(plan.output.directory) == [
        "group/script-v1-00001.csv",
        "group/script-v1-00002.csv",
        "group/script-v2-00001.csv",
        "group/script.manifest.json",
    ], "what a larger run before left is gone"
    assert len(again.files) == 3


def test_chosen_columns_in_their_order_under_their_titles(shop: str, tmp_path: Path) -> None:
    columns = (
        Column(id=1, name="track_id"),
        Column(id=2, name="unit_price", title="Цена, ₽"),
        Column(id=5, name="name"),
    )
    plan = plan_of(shop, tmp_path, "SELECT * FROM track ORDER BY 1 LIMIT 1", columns=columns)
    assert run(plan, columns=[5, 2]).files[0].path.read_text().splitlines()[0] == '"Цена, ₽",name'
    assert len(run(plan).files[0].path.read_text().splitlines()[0].split(",")) == 9, "Default: all that the SQL gives"
    for wrong, said in (([9], "no column with id 9"), ([], "no column was chosen")):
        result = run(plan, columns=wrong)
        assert result.error is not None
        assert said in result.error.message


def test_no_rows_leave_what_the_plan_says(shop: str, tmp_path: Path) -> None:
    for output in ({"format": "csv"}, {"format": "parquet"}, {"format": "jsonl", "compression": "gzip"}):
        plan = plan_of(shop, tmp_path / str(output["format"]), "SELECT 1 AS n WHERE false", **output)
        result = run(plan)
        assert (result.outcome, result.files, result.error) == (Outcome.NO_DATA, (), None)
        plan = plan_of(
            shop, tmp_path / "header" / str(output["format"]), "SELECT 1 AS n WHERE false", no_data="header", **output
        )
        result = run(plan)
        assert (result.outcome, [file.rows for file in result.files]) == (Outcome.NO_DATA, [0])
    assert (tmp_path / "header/csv/out/group/script-v1.csv").read_text() == "n\n"
    assert duckdb.read_parquet(f"{tmp_path}/header/parquet/out/group/script-v1.parquet").columns == ["n"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM no_such_table", "no_such_table"),
        ("SELEC 1", "syntax error"),
        ("SELECT 1 / (g - 5000) AS n FROM generate_series(1, 9000) g", "division by zero"),
        ("SELECT g, pg_terminate_backend(pg_backend_pid()) FROM generate_series(1, 9) g", "terminat"),
        ("CREATE TABLE x (n int)", "SELECT"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_variant_that_fails_is_a_clear_error_and_leaves_nothing(
    shop: str, tmp_path: Path, sql: str, said: str, form: str
) -> None:
    result = run(plan_of(shop, tmp_path, "SELECT * FROM track", sql, format=form))
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    assert (result.error.variant, result.error.type) == ("v2", "SourceError")
    assert said in result.error.message
    assert (result.files, files_in(tmp_path)) == ((), [])


def test_disks_that_refuse_are_clear_errors(shop: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    result = run(plan_of(shop, tmp_path, "SELECT 1 AS n"))
    assert result.outcome is Outcome.FAILED
    script = f"""
        import resource, signal
        from pathlib import Path
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        from test_export_files import plan_of, run
        sql = "SELECT g, md5(g::text) FROM generate_series(1, 50000) g"
        for form in ("csv", "parquet", "jsonl"):
            result = run(plan_of({shop!r}, Path({str(tmp_path / "small")!r}), sql, format=form))
            print(form, result.outcome, result.error.message)
    """  # noqa: S608  # it is a program
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parent,
        env=ENV,
    )
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[form, "Failed"] for form in ("csv", "parquet", "jsonl")], (
        done.stderr
    )
    assert all("File too large" in line for line in lines)
    assert files_in(tmp_path / "small") == []


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_cancelled_in_the_middle_it_leaves_nothing(shop: str, tmp_path: Path, form: str) -> None:
    cancelled = threading.Event()
    plan = plan_of(
        shop,
        tmp_path,
        "SELECT generate_series(1, 900000000) AS n, 'x' AS t",
        "SELECT 1 AS n",
        "SELECT pg_sleep(900)",
        format=form,
    )
    result = run(plan, cancelled=cancelled, on_progress=lambda progress: progress.rows > 1 and cancelled.set())
    assert (result.outcome, result.files, result.error) == (Outcome.CANCELLED, (), None)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_killed_in_the_middle_no_file_has_a_final_name_and_the_next_run_is_whole(
    shop: str, tmp_path: Path, form: str
) -> None:
    sql = "SELECT g AS n, repeat('ж', 50) AS t FROM generate_series(1, 300000) g"
    script = f"""
        from pathlib import Path
        from test_export_files import plan_of, run
        slow = {sql!r} + " WHERE pg_sleep(CASE WHEN g > 290000 THEN 60 ELSE 0 END) IS NOT NULL"
        run(plan_of({shop!r}, Path({str(tmp_path)!r}), "SELECT 1 AS n", slow, format={form!r}, rows_per_file=1000))
    """  # it is a program
    growing = tmp_path / "out/.orakul"
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=Path(__file__).parent, env=ENV)
    try:
        wait_for(lambda: any("v2" in name for name in files_in(growing)), 60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert all(name.startswith("out/.orakul/") for name in files_in(tmp_path))
    result = run(plan_of(shop, tmp_path, "SELECT 1 AS n", sql, format=form))
    assert (result.outcome, result.rows_exported) == (Outcome.SUCCESS, 300_001)
    files = [f"out/group/script-v{number}.{form}" for number in (1, 2)]
    assert files_in(tmp_path) == sorted([*files, "out/group/script.manifest.json"]), "what the killed one left is gone"


def test_progress_grows_and_knows_about_how_much_there_will_be(shop: str, tmp_path: Path) -> None:
    seen: list[Any] = []
    run(plan_of(shop, tmp_path, "SELECT * FROM track", "SELECT * FROM track"), on_progress=seen.append)
    assert (seen[-1].rows, seen[-1].expected, seen[-1].variants_done, seen[-1].variants) == (7006, 7006, 2, 2)
    assert [each.rows for each in seen] == sorted(each.rows for each in seen)


def test_two_runs_of_one_script_at_once_leave_one_whole_set(shop: str, tmp_path: Path) -> None:
    plan = plan_of(shop, tmp_path, "SELECT * FROM track", rows_per_file=500)
    results: list[ScriptResult] = []
    threads = [threading.Thread(target=lambda: results.append(run(plan))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.outcome for result in results] == [Outcome.SUCCESS] * 3
    assert len(files_in(tmp_path)) == 9
