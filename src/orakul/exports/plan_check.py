"""What must hold in a plan beyond the types of its keys."""

import codecs
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from orakul.errors import PlanError
from orakul.exports.file_names import FIELDS, all_names, file_name
from orakul.exports.parameters import names_in
from orakul.exports.plan import Csv, Output, Plan, Script, Variant
from orakul.exports.plan_tree import Complaints, Node
from orakul.exports.source import source_name

__all__ = ["check"]

_ID = re.compile(r"[^\W_][\w.-]{0,99}")
_COMPRESSIONS = {
    "csv": ("none", "gzip", "zstd"),
    "jsonl": ("none", "gzip", "zstd"),
    "parquet": ("zstd", "snappy", "gzip", "lz4", "brotli", "none"),
}
_VALUES = (str, int, float, bool, type(None))


def check(plan: Plan, tree: Node, complaints: Complaints, now: datetime) -> None:
    """Note everything that is wrong."""
    try:
        source_name(plan.database)
    except PlanError as error:
        complaints.add(tree.at("database"), str(error))
    _check_output(plan.output, tree.at("output"), complaints)
    if plan.output.format == "csv":
        _check_csv(plan.output.csv, tree.at("output", "csv"), complaints)
    if not plan.groups:
        complaints.add(tree.at("groups"), "a plan has at least one group")
    _check_ids("group", [each.id for each in plan.groups], tree.at("groups"), complaints)
    for number, group in enumerate(plan.groups):
        node = tree.at("groups", number, "scripts")
        if not group.scripts:
            complaints.add(node, f"group {group.id} has no scripts")
        _check_ids("script", [each.id for each in group.scripts], node, complaints)
        for place, script in enumerate(group.scripts):
            _check_script(script, node.at(place), complaints)
    _check_names(plan, tree, complaints, now)
    if plan.result_log is not None and not re.fullmatch(r"\[?[^\s/]+\]?:\d{1,5}", plan.result_log.address):
        complaints.add(tree.at("result_log", "address"), 'address is a host and a port, such as "127.0.0.1:6379"')


def _check_output(output: Output, node: Node, complaints: Complaints) -> None:
    choices = _COMPRESSIONS[output.format]
    if output.compression is not None and output.compression not in choices:
        known = ", ".join(choices)
        complaints.add(node.at("compression"), f"{output.format} files are compressed by one of {known}")


def _check_csv(form: Csv, node: Node, complaints: Complaints) -> None:
    delimiter = "\t" if form.delimiter == "tab" else form.delimiter
    if len(delimiter) != 1 or delimiter in '"\r\n':
        complaints.add(node.at("delimiter"), "delimiter is one character, or the word tab")
    try:
        codec = codecs.lookup(form.encoding).name
        "a;\n".encode(codec)
    except (LookupError, TypeError, UnicodeError):
        complaints.add(node.at("encoding"), f"there is no encoding {form.encoding!r}; usual are utf-8, cp1251, cp866")
        codec = "utf-8"
    if form.bom and not codec.startswith("utf"):
        complaints.add(node.at("bom"), f"only UTF has a byte order mark, {form.encoding} has none")
    if set(form.null) & {delimiter, '"', "\r", "\n"}:
        complaints.add(node.at("null"), "null has no delimiter, quote or line end in it")
    if form.quoting == "none" and form.decimal == delimiter:
        complaints.add(node.at("decimal"), "without quoting, the decimal sign is not the delimiter")
    for name in ("date_format", "datetime_format"):
        if (pattern := getattr(form, name)) is not None and not _formats(pattern):
            complaints.add(node.at(name), f"{name} is as in strftime, such as %d.%m.%Y")


def _formats(pattern: str) -> bool:
    try:
        return "%" in pattern and bool(datetime(2025, 12, 31, 23, 59, 58, tzinfo=UTC).strftime(pattern))
    except ValueError:
        return False


def _check_ids(what: str, ids: list[str], node: Node, complaints: Complaints) -> None:
    seen: dict[str, str] = {}
    for number, each in enumerate(ids):
        if not _ID.fullmatch(each):
            complaints.add(
                node.at(number, "id"),
                f"{what} id {each!r}: ids name files: letters, digits, _ . - and no sign at the beginning",
            )
        if each.casefold() in seen:
            complaints.add(node.at(number, "id"), f"there are two {what}s with id {each}")
        seen[each.casefold()] = each


def _check_script(script: Script, node: Node, complaints: Complaints) -> None:
    if not script.variants:
        complaints.add(node, f"script {script.id} has no variants, each with an id and its sql")
    _check_ids("variant", [each.id for each in script.variants], node.at("variants"), complaints)
    _once("id", [each.id for each in script.columns], script, node, complaints)
    _once("name", [each.name for each in script.columns], script, node, complaints)
    for number, variant in enumerate(script.variants):
        _check_variant(variant, node.at("variants", number), complaints)


def _once(key: str, values: Iterable[Any], script: Script, node: Node, complaints: Complaints) -> None:
    seen: set[Any] = set()
    for number, value in enumerate(values):
        if value in seen:
            complaints.add(node.at("columns", number, key), f"script {script.id} has two columns with {key} {value}")
        seen.add(value)


def _check_variant(variant: Variant, node: Node, complaints: Complaints) -> None:
    if not variant.sql.strip("; \t\r\n"):
        complaints.add(node.at("sql"), f"variant {variant.id} has an empty sql")
    asked, given = names_in(variant.sql), set(variant.parameters)
    for name in asked:
        if name not in given:
            complaints.add(
                node.at("sql"),
                f"variant {variant.id}: the sql asks for :{name}, and the parameters lack it (a plain colon is \\:)",
            )
    for name in given - set(asked):
        complaints.add(node.at("parameters", name), f"variant {variant.id}: the sql does not ask for :{name}")
    for name, value in variant.parameters.items():
        if isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value)
        ):
            complaints.add(node.at("parameters", name), f"parameter {name} is one value, or a list of values")


def _check_names(plan: Plan, tree: Node, complaints: Complaints, now: datetime) -> None:
    node = tree.at("output", "file_name")
    pattern = plan.output.file_name
    try:
        names = all_names(plan, now)
        if plan.output.cuts and plan.groups and plan.groups[0].scripts and plan.groups[0].scripts[0].variants:
            group = plan.groups[0]
            script = group.scripts[0]
            second = file_name(plan, group, script, script.variants[0], part=2, started=now)
            if second == names[0][3]:
                complaints.add(node, "file_name needs {part} where files are cut")
    except PlanError as error:
        complaints.add(node, str(error))
        return
    seen: dict[str, str] = {}
    for group, script, variant, name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or any(part.startswith(".") for part in path.parts) or "\0" in name:
            complaints.add(node, f"file_name {pattern!r} leads out of the directory, or to hidden files")
            return
        whose = f"{group.id}/{script.id}/{variant.id}"
        if other := seen.get(name.casefold()):
            known = ", ".join("{" + each + "}" for each in FIELDS[:4])
            complaints.add(node, f"file_name {pattern!r} calls the files of {other} and {whose} alike; use {known}")
            return
        seen[name.casefold()] = whose
