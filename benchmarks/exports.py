r"""What an export of a large table takes, beside the tools that people use for it.

    python benchmarks/exports.py [--json] [--rows 10000000] [--runs 3] [--url URL] [--skip observers …]

- csv: PostgreSQL to one CSV file, beside `psql \copy` of the same rows;
- parquet: to one Parquet file (zstd), beside DuckDB's COPY over its scanner of PostgreSQL;
- memory: the most that the process held, with all the rows and with a tenth of them;
- observers: a run with five observers, one of which sleeps 100 ms an event, beside a run with none: the median of the
  ratios of neighbouring runs, in seconds and in seconds of CPU; and how long a run takes that tells all and exports
  nothing, which is what observers cost it whatever the noise. What the slow one still has to hear when the run is over
  is not counted: the export is finished, its files are there.

A table of ten columns: integers, texts (Cyrillic too), a decimal, a date, moments with and without zone, a boolean, a
float with NULLs. Every export is a process of its own, from its start to its end; ours syncs its files to the disk and
sums them, the others do neither. The two take turns; medians.
"""

import argparse
import json
import operator
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

ROWS = """
CREATE UNLOGGED TABLE orders AS
SELECT g::bigint AS order_id, (g % 997)::int AS manager_id, 'INV-' || lpad(g::text, 9, '0') AS number,
  (ARRAY['открыт', 'закрыт', 'в пути', 'отменён'])[1 + g % 4] AS status,
  ((g::bigint * 7919 % 10000000)::numeric / 100)::numeric(12, 2) AS amount, date '2020-01-01' + (g % 2000)::int AS day,
  timestamp '2020-01-01' + g * interval '7 seconds' AS created_at,
  timestamptz '2020-01-01 00:00+00' + g * interval '11.25 seconds' AS paid_at, g % 3 = 0 AS paid,
  CASE WHEN g % 10 = 0 THEN NULL ELSE sqrt(g) END AS weight
FROM generate_series(1, {rows}) g
"""
OURS = """
import sys
from pathlib import Path
from orakul.exports.plan import Group, Output, Plan, Script, Variant
from orakul.exports.script import export_script
url, form, folder, sql = sys.argv[1:]
script = Script(id="orders", variants=(Variant(id="all", sql=sql),))
group = Group(id="g", scripts=(script,))
plan = Plan(database=url, output=Output(directory=Path(folder), format=form), groups=(group,))
result = export_script(plan, group, script)
assert result.outcome == "Success", result.error
"""
DUCKDB = """
import os, sys
import duckdb, duckdb_extensions
url, _, folder, sql = sys.argv[1:]
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")
duckdb_extensions.import_extension("postgres_scanner", con=connection)
connection.execute("LOAD postgres_scanner")
connection.execute(f"ATTACH '{url}' AS pg (TYPE postgres, READ_ONLY)")
os.makedirs(folder, exist_ok=True)
sql = sql.replace("FROM orders", "FROM pg.public.orders")
connection.execute(f"COPY ({sql}) TO '{folder}/orders.parquet' (FORMAT parquet, COMPRESSION zstd)")
"""


def timed(command: list[str]) -> tuple[float, float, float]:
    """Run it; return the seconds it took, the most memory it held, in MiB, and its seconds of CPU."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command[:3]
    return time.perf_counter() - start, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def commands(url: str, folder: Path, sql: str) -> dict[str, list[str]]:
    psql = shutil.which("psql") or sys.exit("psql is not installed: apt-get install postgresql-client")
    python = sys.executable
    return {
        "csv": [python, "-c", OURS, url, "csv", str(folder / "csv"), sql],
        "psql": [psql, "-X", "-q", url, "-c", f"\\copy ({sql}) to '{folder / 'psql.csv'}' csv header"],
        "parquet": [python, "-c", OURS, url, "parquet", str(folder / "parquet"), sql],
        "duckdb": [python, "-c", DUCKDB, url, "", str(folder / "duckdb"), sql],
    }


def compare(url: str, folder: Path, rows: int, runs: int) -> dict[str, dict[str, Any]]:
    """Let the four take turns over all rows; then ours once over a tenth, for its memory."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for number in range(runs):
        for name, command in commands(url, folder, "SELECT * FROM orders").items():
            found.setdefault(name, []).append(timed(command))
            seconds, memory, cpu = found[name][-1]
            print(f"  run {number + 1}, {name}: {seconds:.1f} s, {cpu:.2f} of CPU, {memory:.0f} MiB", file=sys.stderr)
    tenth = commands(url, folder / "tenth", f"SELECT * FROM orders LIMIT {rows // 10}")
    memory_of_a_tenth = {name: timed(tenth[name])[1] for name in ("csv", "parquet")}  # before this process grows itself
    check(folder, rows)
    result: dict[str, dict[str, Any]] = {
        name: {
            "rows_per_second": round(rows / statistics.median(seconds for seconds, _, _ in each)),
            "peak_mib": round(max(memory for _, memory, _ in each)),
            "cpu_s": round(statistics.median(cpu for _, _, cpu in each), 2),
        }
        for name, each in found.items()
    }
    for name, memory in memory_of_a_tenth.items():
        result[name]["peak_mib_of_a_tenth"] = round(memory)
    result["csv"]["ratio"] = round(result["csv"]["rows_per_second"] / result["psql"]["rows_per_second"], 2)
    result["parquet"]["ratio"] = round(result["parquet"]["rows_per_second"] / result["duckdb"]["rows_per_second"], 2)
    return result


def check(folder: Path, rows: int) -> None:
    """See that all four wrote all rows, and the same sums."""
    import duckdb  # noqa: PLC0415  # after the measuring

    for file in (
        f"read_csv('{folder}/csv/g/orders-all.csv')",
        f"read_csv('{folder}/psql.csv')",
        f"'{folder}/parquet/g/orders-all.parquet'",
        f"'{folder}/duckdb/orders.parquet'",
    ):
        counted, amount = duckdb.sql(f"SELECT count(*), sum(amount)::decimal(38, 2) FROM {file}").fetchone() or (0, 0)
        assert counted == rows, (file, counted)
        print(f"  {file}: {counted} rows, {amount}", file=sys.stderr)


def with_observers(url: str, folder: Path, rows: int, runs: int) -> dict[str, Any]:
    """Run six scripts with five observers and with none, in turns."""
    from orakul.events import Dispatcher  # noqa: PLC0415  # the other parts measure processes without it
    from orakul.exports.plan import Group, Output, Plan, Script, Variant  # noqa: PLC0415
    from orakul.exports.run import run_export  # noqa: PLC0415

    counts = [0] * 5

    def observer(number: int) -> Any:
        def observe(_event: Any) -> None:
            counts[number] += 1
            time.sleep(0.1 if number == 0 else 0)

        return observe

    sql = f"SELECT * FROM orders LIMIT {rows // 20}"
    scripts = tuple(Script(id=f"s{number}", variants=(Variant(id="v", sql=sql),)) for number in range(6))
    output = Output(directory=folder / "observed", parallel=1)
    plan = Plan(database=url, output=output, groups=(Group(id="g", scripts=scripts),))
    seconds: dict[int, list[float]] = {5: [], 0: []}
    cpu: dict[int, list[float]] = {5: [], 0: []}
    for number in range(runs + 1):
        for count in (5, 0) if number % 2 else (0, 5):  # neither always comes after the other
            with Dispatcher([observer(each) for each in range(count)]) as dispatcher:
                spent, start = time.process_time(), time.perf_counter()
                result = run_export(plan, plan.choose(), dispatcher)
                seconds[count].append(time.perf_counter() - start)
                cpu[count].append(time.process_time() - spent)
            assert result.outcome == "Success", result  # the dispatcher has let the slow one finish
    assert min(counts) == max(counts) > 0, counts
    with_five, with_none = (statistics.median(seconds[count][1:]) for count in (5, 0))
    telling = statistics.median(_telling([observer(each) for each in range(5)], plan) for _ in range(9))
    return {
        "with_five_s": round(with_five, 3),
        "with_none_s": round(with_none, 3),
        "ratio": round(statistics.median(map(operator.truediv, seconds[5][1:], seconds[0][1:])), 3),
        "telling_ms": round(telling * 1000, 2),
        "cpu_ratio": round(statistics.median(map(operator.truediv, cpu[5][1:], cpu[0][1:])), 3),
    }


def _telling(observers: list[Any], plan: Any) -> float:
    """Return what is left of a run where nothing is exported: the seconds that telling observers takes."""
    from orakul.events import Dispatcher  # noqa: PLC0415  # as above
    from orakul.exports.run import run_export  # noqa: PLC0415
    from orakul.exports.script import Outcome, ScriptResult  # noqa: PLC0415

    with Dispatcher(observers) as dispatcher:
        start = time.perf_counter()
        run_export(plan, plan.choose(), dispatcher, export=lambda *_, **__: ScriptResult(outcome=Outcome.SUCCESS))
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--url", help="a database that a table `orders` may be made in")
    parser.add_argument("--skip", nargs="*", default=[], choices=["files", "observers"])
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orakul-exports-")))
        url = options.url
        if url is None:
            from orakul.journals.postgres import EmbeddedPostgres  # noqa: PLC0415  # not needed with a URL

            server = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
            url = server.url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS orders")
            connection.execute(ROWS.format(rows=options.rows).encode())
            connection.execute("VACUUM ANALYZE orders")
        result: dict[str, Any] = {"rows": options.rows, "runs": options.runs, "python": platform.python_version()}
        if "files" not in options.skip:
            result |= compare(url, folder, options.rows, options.runs)
        if "observers" not in options.skip:
            result["observers"] = with_observers(url, folder, options.rows, 4 * options.runs)
    if options.json:
        print(json.dumps(result))
        return
    for name, peer in (("csv", "psql"), ("parquet", "duckdb")):
        if name in result:
            ours, theirs = result[name], result[peer]
            print(
                f"{name}: {ours['rows_per_second']:,} rows/s, {peer} {theirs['rows_per_second']:,}: {ours['ratio']}; "
                f"at most {ours['peak_mib']} MiB, with a tenth of the rows {ours['peak_mib_of_a_tenth']} MiB "
                f"({peer} {theirs['peak_mib']} MiB)"
            )
    if "observers" in result:
        print(
            "five observers, one slow: {with_five_s} s, none: {with_none_s} s: {ratio}, by CPU {cpu_ratio}; "
            "telling them, with nothing exported: {telling_ms} ms".format(**result["observers"])
        )


if __name__ == "__main__":
    main()
