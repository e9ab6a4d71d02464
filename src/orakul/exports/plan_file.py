"""A plan read from its file: the environment put in, paths made absolute, everything checked."""

import os
import re
from datetime import datetime
from pathlib import Path

import msgspec

from orakul.errors import PlanError
from orakul.exports.plan import Plan
from orakul.exports.plan_check import check
from orakul.exports.plan_tree import Complaints, Node, fill, parse

__all__ = ["read_plan"]

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_FILES = re.compile(r"^((?:sqlite|duckdb)(?:\+\w+)?:///)(?!/|:memory:)([^?]+)(.*)$", re.DOTALL)


def read_plan(path: Path, *, now: datetime | None = None) -> Plan:
    """Read the file, or raise PlanError that names all that is wrong with it."""
    path = path.expanduser().absolute()
    tree = parse(path)
    complaints = Complaints(path)
    if not isinstance(tree.value, dict):
        raise PlanError(f"{path}:{tree.line}: a plan has the keys database, output, groups")
    _put_in_environment(tree, complaints)
    _put_in_sql(tree, path.parent, complaints)
    plan: Plan | None = fill(Plan, tree, complaints)
    complaints.raise_any()
    assert plan is not None, "a plan without complaints is whole"  # noqa: S101  # tells mypy what `fill` promises
    plan = msgspec.structs.replace(
        plan,
        name=plan.name or path.name.removesuffix(".yaml").removesuffix(".yml"),
        path=path,
        database=_FILES.sub(lambda found: f"{found[1]}{path.parent / found[2]}{found[3]}", plan.database),
        output=msgspec.structs.replace(plan.output, directory=path.parent / plan.output.directory),
    )
    check(plan, tree, complaints, now or datetime.now().astimezone())
    complaints.raise_any()
    return plan


def _put_in_environment(tree: Node, complaints: Complaints) -> None:
    """Put the values of variables in for `${NAME}` and `${NAME:-otherwise}`, where secrets and places stand."""
    for way in (("database",), ("output", "directory"), ("result_log", "address"), ("result_log", "password")):
        node = tree.at(*way)
        if not isinstance(node.value, str):
            continue
        lacking = [found[1] for found in _VARIABLE.finditer(node.value) if found[1] not in os.environ and not found[2]]
        for name in lacking:
            complaints.add(node, f"{way[-1]} needs the environment variable {name}, and it is not set")
        node.value = node.text = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[2] or ""), node.value)


def _put_in_sql(tree: Node, folder: Path, complaints: Complaints) -> None:
    """Read the files that variants name by `sql_file` in place of `sql`."""
    for variant in _variants(tree):
        named = variant.value.get("sql_file")
        if named is None:
            continue
        del variant.value["sql_file"]
        if "sql" in variant.value:
            complaints.add(named, "a variant has sql or sql_file, not both")
            continue
        try:
            text = (folder / str(named.value)).expanduser().read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            complaints.add(named, f"sql_file {named.value} cannot be read: {getattr(error, 'strerror', None) or error}")
            text = "-"
        variant.value["sql"] = Node(text, named.line, text)


def _variants(tree: Node) -> list[Node]:
    found = [tree]
    for key in ("groups", "scripts", "variants"):
        below = [each.value.get(key) for each in found if isinstance(each.value, dict)]
        found = [each for node in below if node is not None and isinstance(node.value, list) for each in node.value]
    return [each for each in found if isinstance(each.value, dict)]
