"""An export plan: what is exported from where, into which files. `load_plan` reads one from YAML.

    plan = load_plan(Path("plan.yaml"))
    choice = plan.choose(group="sales")        # or everything, or one script, or some columns of one script
    for group in choice.groups:
        for script in group.scripts:
            export_script(plan, group, script, columns=choice.columns)

A plan is checked whole when it is read: whoever holds a `Plan` need not check it again. Everything is frozen.
"""

from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import msgspec

from orakul.errors import PlanError

__all__ = [
    "Choice",
    "Column",
    "Csv",
    "Group",
    "Mode",
    "Output",
    "Plan",
    "ResultLog",
    "Script",
    "User",
    "Variant",
    "load_plan",
]

Mode: TypeAlias = Literal["Default", "Custom"]
"""`Default`: every column; `Custom`: the columns whose ids were chosen."""

Positive = Annotated[int, msgspec.Meta(ge=1)]


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the parts of a plan have in common."""


class User(_Form, frozen=True):
    """In whose name the export runs; goes into every event of the run."""

    login: str | None = None
    database_id: int | None = None
    manager_id: int | None = None
    stream_id: int | None = None


class Csv(_Form, frozen=True):
    """How CSV is written. Left alone: RFC 4180 with plain line feeds, NULL an empty field and an empty text `""`."""

    delimiter: str = ","
    """One character; `tab` may be written for it."""
    encoding: str = "utf-8"
    """What Python calls it: `utf-8`, `cp1251`, `cp866`, `utf-16` …; a letter that it lacks is an error."""
    bom: bool = False
    """Begin each file with the byte order mark, by which Excel knows UTF-8."""
    decimal: Literal[".", ","] = "."
    """The decimal sign of decimals and floats."""
    quoting: Literal["minimal", "text", "all", "none"] = "minimal"
    """What stands in quotes: what must, all texts, all but NULL, or nothing (a value that needs them is an error)."""
    line_end: Literal["lf", "crlf"] = "lf"
    null: str = ""
    """What stands for NULL; a text equal to it is quoted, so that the two differ."""
    header: bool = True
    date_format: str | None = None
    """As in `strftime`; ISO (`2025-12-01`) where left out."""
    datetime_format: str | None = None
    """As in `strftime`; ISO with a space (`2025-12-01 12:00:00.25`, `…+00` with a zone) where left out."""


class Output(_Form, frozen=True):
    """Where the files go, in what form, and what happens where there is nothing or an error."""

    directory: Path
    format: Literal["csv", "parquet", "jsonl"] = "csv"
    rows_per_file: Positive | None = None
    bytes_per_file: Positive | None = None
    """A file of text is never larger, unless one row is; Parquet and compressed files come near it."""
    compression: Literal["none", "gzip", "zstd", "snappy", "lz4", "brotli"] | None = None
    """CSV and JSON Lines: none (usual), gzip, zstd. Parquet: zstd (usual), snappy, gzip, lz4, brotli, none."""
    csv: Csv = Csv()
    file_name: str = "{group}/{script}-{variant}{part}"
    """Below `directory`, without the ending. `{part}` is `-00001` … where files are cut, else nothing; also
    `{date}` and `{time}` (of the script's start, local), `{login}`, `{database_id}`, `{manager_id}`, `{stream_id}`."""
    manifest: bool = True
    """Write `<group>/<script>.manifest.json` when a script's files are all there."""
    no_data: Literal["none", "header"] = "none"
    """What a variant without rows leaves: no file, or one with only a header (Parquet: only its schema)."""
    on_error: Literal["continue", "stop"] = "continue"
    """Whether the other scripts still run after one failed."""
    parallel: Positive = 2
    """How many variants are exported at the same time, over all scripts of the run."""

    @property
    def cuts(self) -> bool:
        """Whether results may be cut into several files."""
        return self.rows_per_file is not None or self.bytes_per_file is not None


class ResultLog(_Form, frozen=True):
    """Where the end of a run is told in the TDTP form: `SET` and `PUBLISH` of `tdtp:pipeline:<name>`."""

    name: str
    type: Literal["redis"] = "redis"
    address: str = "127.0.0.1:6379"
    password: str | None = None
    database: Annotated[int, msgspec.Meta(ge=0)] = 0
    ttl: Positive = 3600


class Column(_Form, frozen=True):
    """A column that may be chosen: `name` is what the SQL calls it, `title` what the file does."""

    id: int
    name: str
    title: str | None = None


class Variant(_Form, frozen=True):
    """One SQL of a script, with its bound parameters (`:name`; a list becomes as many values)."""

    id: str
    sql: str
    parameters: dict[str, Any] = {}


class Script(_Form, frozen=True):
    """What a user means by one export; all its variants have the same columns."""

    id: str
    variants: tuple[Variant, ...]
    name: str | None = None
    enabled: bool = True
    columns: tuple[Column, ...] = ()

    def chosen(self, columns: Sequence[int] | None) -> tuple[Column, ...] | None:
        """Return the columns to export: None for whatever the SQL gives, else these in the plan's order.

        Raises PlanError for an id that the script does not have.
        """
        if columns is None:
            return self.columns or None
        known = {column.id for column in self.columns}
        if missing := [str(each) for each in columns if each not in known]:
            there = ", ".join(f"{each.id} ({each.name})" for each in self.columns) or "none; list them under `columns:`"
            raise PlanError(f"script {self.id} has no column with id {', '.join(missing)}; it has: {there}")
        if not columns:
            raise PlanError(f"script {self.id}: no column was chosen; leave the choice out for all of them")
        return tuple(each for each in self.columns if each.id in set(columns))


class Group(_Form, frozen=True):
    """Scripts that are run together."""

    id: str
    scripts: tuple[Script, ...]
    name: str | None = None
    enabled: bool = True


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What of a plan is to be run: groups that hold only the scripts to run, in the plan's order."""

    groups: tuple[Group, ...]
    everything: bool
    """Whether all groups were meant (`AllGroupsStart` is told then)."""
    script_alone: bool = False
    """Whether one script was meant (no `GroupStart` is told then)."""
    columns: tuple[int, ...] | None = None

    @property
    def mode(self) -> Mode:
        """Whether columns were chosen."""
        return "Default" if self.columns is None else "Custom"


class Plan(_Form, frozen=True):
    """A whole plan."""

    database: str
    """The source's URL, with its password: never show it, show `database_shown`."""
    output: Output
    groups: tuple[Group, ...]
    name: str = ""
    """The file's name without its ending, unless the plan names itself."""
    user: User = User()
    result_log: ResultLog | None = None
    path: Path | None = None
    """The file that it was read from; not a key of the plan."""

    @property
    def database_shown(self) -> str:
        """The URL without its password and options."""
        parts = urlsplit(self.database)
        login, at, host = parts.netloc.rpartition("@")
        netloc = f"{login.partition(':')[0]}{':***' if ':' in login else ''}{at}{host}"
        shown = urlunsplit((parts.scheme, netloc, parts.path, "", ""))
        return shown.replace(":/", ":///", 1) if not netloc and ":///" not in shown else shown

    def choose(
        self, *, group: str | None = None, script: str | None = None, columns: Sequence[int] | None = None
    ) -> Choice:
        """Return what to run: everything that is enabled, one group, or one script, of which columns may be chosen.

        A script is named by its id, as `group/script` where two groups have one of that id. Raises PlanError for
        what is not there or not enabled.
        """
        if columns is not None and script is None:
            raise PlanError("columns are chosen for one script: name it")
        if script is not None and group is None and "/" in script:
            group, _, script = script.partition("/")
        if script is not None:
            where, found = self._script(group, script)
            found.chosen(columns)
            groups: tuple[Group, ...] = (msgspec.structs.replace(where, scripts=(found,)),)
        else:
            groups = tuple(map(_enabled, [self._group(group)] if group is not None else self.groups))
            groups = tuple(each for each in groups if each.enabled and each.scripts)
        if not groups:
            raise PlanError("nothing to run: no script is enabled" + (f" in group {group}" if group else ""))
        return Choice(
            groups=groups,
            everything=group is None and script is None,
            script_alone=script is not None,
            columns=None if columns is None else tuple(columns),
        )

    def _group(self, name: str) -> Group:
        found = next((each for each in self.groups if each.id == name), None)
        if found is None:
            raise PlanError(f"there is no group {name!r}{_nearest(name, [each.id for each in self.groups])}")
        if not found.enabled:
            raise PlanError(f"group {name} is not enabled in the plan: set its `enabled: true` to run it")
        return found

    def _script(self, group: str | None, name: str) -> tuple[Group, Script]:
        groups = self.groups if group is None else (self._group(group),)
        found = [(each, script) for each in groups for script in each.scripts if script.id == name]
        if not found:
            ids = [script.id for each in groups for script in each.scripts]
            raise PlanError(f"there is no script {name!r}{f' in group {group}' if group else ''}{_nearest(name, ids)}")
        if len(found) > 1:
            where = " or ".join(f"{each.id}/{name}" for each, _ in found)
            raise PlanError(f"script {name} is in more than one group: say {where}")
        where_found, script = found[0]
        if not (where_found.enabled and script.enabled):
            what = f"script {name}" if where_found.enabled else f"group {where_found.id}"
            raise PlanError(f"{what} is not enabled in the plan: set its `enabled: true` to run it")
        return where_found, script


def load_plan(path: Path | str, *, now: datetime | None = None) -> Plan:
    """Read a plan from a YAML file.

    Raises PlanError that names all that is wrong with it, each with file, line and the nearest right key or value.
    """
    from orakul.exports.plan_file import read_plan  # noqa: PLC0415  # it needs the forms above, and a YAML library

    return read_plan(Path(path), now=now)


def _enabled(group: Group) -> Group:
    return msgspec.structs.replace(group, scripts=tuple(each for each in group.scripts if each.enabled))


def _nearest(name: str, among: Sequence[str]) -> str:
    close = get_close_matches(name, among, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there is: {', '.join(among) or 'none'}"
