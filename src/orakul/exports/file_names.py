"""How the files of an export are called."""

import string
from datetime import datetime

from orakul.errors import PlanError
from orakul.exports.plan import Group, Output, Plan, Script, User, Variant

__all__ = ["ENDINGS", "FIELDS", "all_names", "compression_of", "file_name", "keeps_old", "manifest_name"]

FIELDS = (
    "group",
    "script",
    "variant",
    "part",
    "date",
    "time",
    "login",
    "database_id",
    "manager_id",
    "stream_id",
)
ENDINGS = {"none": "", "gzip": ".gz", "zstd": ".zst"}


def compression_of(output: Output) -> str:
    """Return how the files are compressed, where the plan leaves it to the format."""
    return output.compression or ("zstd" if output.format == "parquet" else "none")


def file_name(plan: Plan, group: Group, script: Script, variant: Variant, *, part: int, started: datetime) -> str:
    """Return a file's path below the output's directory. Raises PlanError for a pattern that does not work."""
    output = plan.output
    values = {
        "group": group.id,
        "script": script.id,
        "variant": variant.id,
        "part": f"-{part:05d}" if output.cuts else "",
        "date": f"{started:%Y-%m-%d}",
        "time": f"{started:%H%M%S}",
        **{name: "" if value is None else str(value).replace("/", "_") for name, value in _user(plan.user)},
    }
    try:
        name = output.file_name.format_map(values)
    except (KeyError, IndexError, ValueError) as error:
        raise PlanError(f"file_name knows {', '.join('{' + each + '}' for each in FIELDS)}, not {error}") from error
    ending = ENDINGS.get(compression_of(output), "") if output.format != "parquet" else ""
    return f"{name}.{output.format}{ending}"


def manifest_name(group: Group, script: Script) -> str:
    """Return the path of a script's manifest below the output's directory."""
    return f"{group.id}/{script.id}.manifest.json"


def keeps_old(output: Output) -> bool:
    """Whether each run has names of its own, so that the files of the run before stay."""
    return bool({"date", "time"} & {name for _, name, _, _ in string.Formatter().parse(output.file_name) if name})


def all_names(plan: Plan, started: datetime) -> list[tuple[Group, Script, Variant, str]]:
    """Return the name of every variant's first file. Raises PlanError for a pattern that does not work."""
    return [
        (group, script, variant, file_name(plan, group, script, variant, part=1, started=started))
        for group in plan.groups
        for script in group.scripts
        for variant in script.variants
    ]


def _user(user: User) -> list[tuple[str, object]]:
    return [(name, getattr(user, name)) for name in user.__struct_fields__]
