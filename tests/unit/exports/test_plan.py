"""An export plan is read whole, or everything that is wrong with it is said, with its line."""

from pathlib import Path
from typing import Any

import pytest

from orakul.errors import PlanError
from orakul.exports.parameters import bind, names_in
from orakul.exports.plan import Column, Plan, load_plan

GOOD = """\
database: postgresql://exporter:${EXPORT_PASSWORD}@db.example:5432/shop?sslmode=require
user: {login: ivanov, database_id: 1, manager_id: 2, stream_id: 3}
output: {directory: out, format: csv, rows_per_file: 1_000_000, bytes_per_file: 1 MB, csv: {delimiter: ";", null: NIL}}
result_log: {type: redis, address: "127.0.0.1:6379", name: SALES_V001, ttl: 3600}
groups:
  - id: sales
    enabled: true
    scripts:
      - id: orders
        columns: [{id: 1, name: order_id}, {id: 2, name: amount, title: Сумма}]
        variants:
          - {id: open, sql: "select order_id, amount from o where s = :s::text", parameters: {s: open}}
          - {id: closed, sql_file: closed.sql}
      - {id: spare, enabled: false, variants: [{id: 1, sql: select 1}]}
  - id: off
    enabled: false
    scripts: [{id: orders, variants: [{id: only, sql: select 1}]}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPORT_PASSWORD", "s3cret")
    (tmp_path / "closed.sql").write_text("select 2 as order_id, 3 as amount -- it's :not one\n")
    return tmp_path


def load(folder: Path, text: str) -> Plan:
    path = folder / "shop.yaml"
    path.write_text(text)
    return load_plan(path)


def wrong(folder: Path, text: str) -> str:
    with pytest.raises(PlanError) as caught:
        load(folder, text)
    return str(caught.value).replace(str(folder) + "/", "")


def test_a_plan_is_read_with_everything_in_it(folder: Path) -> None:
    plan = load(folder, GOOD)
    assert plan.database == "postgresql://exporter:s3cret@db.example:5432/shop?sslmode=require"
    assert "s3cret" not in plan.database_shown
    assert (plan.user.login, plan.user.stream_id) == ("ivanov", 3)
    assert plan.output.directory == folder / "out"
    assert (plan.output.rows_per_file, plan.output.bytes_per_file) == (1_000_000, 1_000_000)
    assert (plan.output.csv.delimiter, plan.output.csv.null) == (";", "NIL")
    assert plan.result_log is not None
    assert plan.result_log.name == "SALES_V001"
    (orders, spare), (lone,) = (group.scripts for group in plan.groups)
    assert orders.columns == (Column(id=1, name="order_id"), Column(id=2, name="amount", title="Сумма"))
    assert orders.variants[0].parameters == {"s": "open"}
    assert orders.variants[1].sql.startswith("select 2")
    assert (spare.enabled, spare.variants[0].id, lone.id) == (False, "1", "orders")
    assert plan.name == "shop"


def test_paths_of_databases_start_from_the_plan(folder: Path) -> None:
    for scheme in ("sqlite", "duckdb"):
        text = GOOD.replace(GOOD.splitlines()[0], f"database: {scheme}:///data/shop.db")
        assert load(folder, text).database == f"{scheme}:///{folder}/data/shop.db"


def test_everything_some_or_one_script_is_chosen(folder: Path) -> None:
    plan = load(folder, GOOD)
    everything = plan.choose()
    assert everything.everything
    assert [(group.id, [script.id for script in group.scripts]) for group in everything.groups] == [
        ("sales", ["orders"])
    ]
    assert not plan.choose(group="sales").everything
    one = plan.choose(script="sales/orders", columns=[2])
    assert (one.mode, one.columns) == ("Custom", (2,))
    for asked, said in (
        ({"group": "sale"}, "no group 'sale'; did you mean sales"),
        ({"group": "off"}, "group off is not enabled"),
        ({"script": "order"}, "no script 'order'; did you mean orders"),
        ({"script": "orders"}, "say sales/orders or off/orders"),
        ({"script": "spare"}, "script spare is not enabled"),
        ({"script": "sales/orders", "columns": [7]}, "no column with id 7; it has: 1 (order_id), 2 (amount)"),
        ({"columns": [1]}, "columns are chosen for one script"),
    ):
        arguments: dict[str, Any] = dict(asked)
        with pytest.raises(PlanError) as caught:
            plan.choose(**arguments)
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("database:", "databse:", "shop.yaml:1: the plan has no key 'databse'; did you mean 'database'?"),
        ("rows_per_file", "row_per_file", "output has no key 'row_per_file'; did you mean 'rows_per_file'?"),
        ("format: csv", "format: cvs", "it is one of csv parquet jsonl; did you mean csv?"),
        ("1_000_000", "0", "shop.yaml:3: rows_per_file cannot be 0"),
        ('delimiter: ";"', 'delimiter: ";;"', "shop.yaml:3: delimiter is one character, or the word tab"),
        ("null: NIL", "encoding: cp1521", "shop.yaml:3: there is no encoding 'cp1521'"),
        ("null: NIL", "encoding: cp1251, bom: true", "shop.yaml:3: only UTF has a byte order mark"),
        ("format: csv", "format: parquet, compression: zip", "compression cannot be 'zip'"),
        ("format: csv", "format: csv, compression: snappy", "shop.yaml:3: csv files are compressed by one of"),
        ("format: csv", "format: csv, file_name: '{script}'", "shop.yaml:3: file_name '{script}' calls the files of"),
        ("format: csv", "format: csv, file_name: '{group}/{script}-{variant}'", "file_name needs {part}"),
        ("format: csv", "format: csv, file_name: '../{group}{script}{variant}{part}'", "leads out of the directory"),
        ("format: csv", "format: csv, file_name: '{user}'", "file_name knows {group}, {script}"),
        ("127.0.0.1:6379", "127.0.0.1", 'shop.yaml:4: address is a host and a port, such as "127.0.0.1:6379"'),
        ("{id: 2, name: amount", "{id: 1, name: amount", "shop.yaml:10: script orders has two columns with id 1"),
        ("id: closed", "id: open", "shop.yaml:13: there are two variants with id open"),
        ("id: closed", "id: ../x", "shop.yaml:13: variant id '../x'"),
        ("parameters: {s: open}", "parameters: {t: open}", "shop.yaml:12: variant open: the sql asks for :s"),
        ("parameters: {s: open}", "parameters: {s: 1, t: 2}", "the sql does not ask for :t"),
        ("closed.sql", "open.sql", "sql_file open.sql cannot be read"),
        ("${EXPORT_PASSWORD}", "${EXPORT_PASSWROD}", "the environment variable EXPORT_PASSWROD"),
        ("postgresql://", "postgresql:", "shop.yaml:1: the database is given by a URL"),
        ("        variants:\n", "        variant:\n", "no key 'variant'; did you mean 'variants'?"),
        ("  - id: off", "  - id: Sales", "shop.yaml:15: there are two groups with id Sales"),
        ("user: {login", "user: {login: x, login", "shop.yaml:2: login is given twice"),
        ("user: {", "user: {{", "shop.yaml:3: not readable as YAML"),
        ("groups:", "groups: &g\n  - *g\n#", "shop.yaml:"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(folder: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    assert said in wrong(folder, GOOD.replace(old, new, 1))


def test_all_that_is_wrong_is_said_at_once(folder: Path) -> None:
    text = GOOD.replace("format: csv", "format: cvs").replace("ttl: 3600", "ttl: never")
    assert len(wrong(folder, text).splitlines()) == 2


@pytest.mark.parametrize("text", ["", "- a\n", "just words", "\x00", "a: [", "? [a]\n: b\n"])
def test_what_is_no_plan_is_said_to_be_none(folder: Path, text: str) -> None:
    assert "shop.yaml" in wrong(folder, text)


def test_a_plan_that_is_not_there_is_said_so(folder: Path) -> None:
    with pytest.raises(PlanError, match="there is no file"):
        load_plan(folder / "none.yaml")


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("a = :a and b = :b or a = :a", ["a", "b"]),
        ("x::text, ':no', \":no\", `:no`, $$ :no $$, $t$ :no $t$ -- :no\n /* :no */ :yes", ["yes"]),
        ("arr[1:n], '12:30', E'it\\'s :no', 'it''s :no', \\:no, now()::date", []),
        ("in (:ids) and x=:x", ["ids", "x"]),
        ("'{\"a\": 1}'::jsonb ->> :key", ["key"]),
    ],
)
def test_parameters_are_found_where_they_are_meant(sql: str, names: list[str]) -> None:
    assert names_in(sql) == names
    values = dict.fromkeys(names, 1)
    assert bind(sql, values, lambda name, _: f":{name}").replace("\\:", ":") == sql.replace("\\:", ":")
