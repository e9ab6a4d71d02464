"""Where settings come from: the file, the environment, the command line; and what is wrong with them."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from orakul.errors import SettingsError
from orakul.settings.form import Settings
from orakul.settings.keys import Key, hint_of, known, sections

__all__ = ["load_settings", "place_of"]

# Read by others than `Settings`: the file's place, the command line, the tests' servers, the build of the package.
_FOREIGN = re.compile(r"^ORAKUL_(CONFIG|REDIS_PASSWORD|SKIP_\w+|TEST_\w+|SERVICE_\w+|PORT_\d+\w*)$")


def load_settings(
    overrides: Mapping[str, Any] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Settings:
    """Read the settings, or raise SettingsError that names all that is wrong with them.

    `overrides` come from the command line, by dotted key; those that are None do not count. `defaults` stand in for
    the usual ones.
    """
    environment = os.environ if environment is None else environment
    wrong: list[str] = []
    values: dict[str, Any] = dict(defaults or {})
    file = _file(environment, directory or Path.cwd())
    for found in (*(_from_file(file, wrong) if file else ()), *_from_environment(environment, wrong)):
        _take(found, values, wrong)
    for name, value in (overrides or {}).items():
        if value is not None:
            _take(_Found(name, value, f"option --{name.replace('_', '-')}", Path.cwd()), values, wrong)
    if wrong:
        raise SettingsError("\n".join(wrong))
    return _build(values, environment)


class _Found(msgspec.Struct, frozen=True):
    """A value as it was found: where, and the folder that its relative paths start from."""

    name: str
    value: Any
    place: str
    folder: Path
    text: bool = False


def _take(found: _Found, values: dict[str, Any], wrong: list[str]) -> None:
    """Put the value among the others in its right type, or say what is wrong with it."""
    key = known()[found.name]
    value = found.value
    if key.type is Path:
        if not isinstance(value, (str, Path)) or not str(value):
            wrong.append(f"{found.place}: {found.name} is a path, not {value!r}")
        else:
            values[found.name] = (found.folder / Path(value).expanduser()).resolve()
        return
    if found.text and _is_form(key.type):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            wrong.append(f"{found.place}: {found.name} is JSON in the environment: {error}")
            return
    elif found.text and get_origin(key.type) is tuple:
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    if found.text:  # nobody minds the case of letters in the environment
        value = {str(choice).lower(): choice for choice in _choices(key.type)}.get(str(value).lower(), value)
    try:
        values[found.name] = msgspec.convert(value, hint_of(found.name), strict=not found.text)
    except msgspec.ValidationError as error:
        shown = "this secret value" if key.secret else repr(value)
        wrong.append(f"{found.place}: {found.name} cannot be {shown}: {_reason(key, value, error)}")


def _reason(key: Key, value: Any, error: msgspec.ValidationError) -> str:
    choices = [choice for choice in _choices(key.type) if choice is not None]
    if choices:
        by_letters = {choice.lower(): choice for choice in choices}
        near = get_close_matches(str(value).lower(), by_letters, n=1)
        return f"it is one of {', '.join(choices)}" + (f"; did you mean {by_letters[near[0]]}?" if near else "")
    if title := _title(key.type):
        return f"it is {title}"
    return str(error).replace("`", "").removesuffix(" - at $").lower()


def _title(kind: Any) -> str | None:
    """Return what a text of a certain form is called, where the setting has one."""
    parts = (kind, *get_args(kind))
    return next((meta.title for part in parts for meta in getattr(part, "__metadata__", ()) if meta.title), None)


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(choice for part in get_args(kind) for choice in _choices(part))


def _file(environment: Mapping[str, str], directory: Path) -> Path | None:
    named = environment.get("ORAKUL_CONFIG")
    if not named:
        usual = directory / "orakul.toml"
        return usual if usual.is_file() else None
    path = (directory / named).expanduser()
    if not path.is_file():
        raise SettingsError(f"ORAKUL_CONFIG names {path}, and there is no such file")
    return path


def _from_file(path: Path, wrong: list[str]) -> Iterator[_Found]:
    try:
        text = path.read_text("utf-8")
        tree = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        wrong.append(f"{path}: not readable as TOML: {error}")
        return
    for name, value in _leaves(tree):
        place = f"{path}:{_line_of(text, name)}"
        if name in known():
            yield _Found(name, value, place, path.parent.absolute())
        elif any(key.startswith(name + ".") for key in known()):
            wrong.append(f"{place}: {name} is a section, write [{name}] with its keys below")
        else:
            wrong.append(f"{place}: there is no setting {name}{_nearest(name, list(known()))}")


def _from_environment(environment: Mapping[str, str], wrong: list[str]) -> Iterator[_Found]:
    by_variable = {key.variable: key for key in known().values()}
    for variable in sorted(name for name in environment if name.startswith("ORAKUL_")):
        value = environment[variable]
        # Kubernetes sets ORAKUL_PORT=tcp://… and more for a service called "orakul": none of our business.
        if _FOREIGN.match(variable) or not value or (variable == "ORAKUL_PORT" and value.startswith("tcp://")):
            continue
        if key := by_variable.get(variable):
            yield _Found(key.name, value, f"environment variable {variable}", Path.cwd(), text=True)
        else:
            wrong.append(f"environment variable {variable}: no such setting{_nearest(variable, list(by_variable))}")


def _nearest(name: str, among: list[str]) -> str:
    close = get_close_matches(name, among, n=1, cutoff=0.5)
    if not close and "." not in name:  # a key of a section, written outside of it
        close = [key for key in among if key.rpartition(".")[2] == name][:1]
    return f"; did you mean {close[0]}?" if close else ""


def _is_form(kind: Any) -> bool:
    """Say whether a setting is a table with keys of its own, or a list of such."""
    return get_origin(kind) is dict or any(get_origin(part) is dict for part in get_args(kind))


@cache
def _tables() -> frozenset[str]:
    return frozenset(name for name, key in known().items() if _is_form(key.type))


_TABLE_OF_MANY = re.compile(r"\s*\[\[\s*([^\[\]]+?)\s*\]\]")


def place_of(name: str, nth: int = 0) -> str:
    """Return `file:line: ` of a dotted key of the file in use, for messages; nothing where it is not to be found.

    With `nth`, of the table of that number under `[[name]]`.
    """
    try:
        file = _file(os.environ, Path.cwd())
        text = file.read_text("utf-8") if file else ""
    except (OSError, UnicodeDecodeError, SettingsError):
        return ""
    if not file:
        return ""
    heads = [number for number, line in enumerate(text.splitlines(), 1) if _head(line) == name]
    return f"{file}:{heads[nth - 1] if 0 < nth <= len(heads) else _line_of(text, name)}: "


def _head(line: str) -> str:
    found = _TABLE_OF_MANY.match(line)
    return re.sub(r"[\s\"']", "", found[1]) if found else ""


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and f"{prefix}{name}" not in _tables():
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _line_of(text: str, name: str) -> int:
    """Return the line of a dotted key in TOML text; that of its table where it stands in an inline one; else 1."""
    section, best = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            section = re.sub(r"[\s\"']", "", header[1]) + "."
            if section.startswith(name + "."):
                best = number
        elif assigned := re.match(r"\s*([\w.\s\"'-]+?)\s*=", line):
            here = section + re.sub(r"[\s\"']", "", assigned[1])
            if here == name:
                return number
            if name.startswith(here + "."):
                best = number
    return best


def _build(values: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[key] = value
    for name, kind in sections().items():
        tree[name] = kind(**tree.get(name, {}))
    home = environment.get("XDG_DATA_HOME") or Path(environment.get("HOME") or Path.home()) / ".local" / "share"
    tree.setdefault("data", Path(home).expanduser().absolute() / "orakul")
    return Settings(**tree)
