"""YAML read into a tree that knows its lines, and turned from there into typed forms, each error with its line."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from orakul.errors import MissingExtraError, PlanError

try:
    import yaml
except ModuleNotFoundError as missing:  # pragma: no cover  # said by the tests of the package without extras
    raise MissingExtraError("pyyaml", "exports") from missing

__all__ = ["Complaints", "Node", "fill", "parse", "plain"]

_MOST_NODES = 200_000


class Node(msgspec.Struct, eq=False):
    """A value and the line that it stands in; a mapping's value is a dict of nodes, a list's a list of nodes."""

    value: Any
    line: int
    text: str | None = None
    """How a plain value is written: what a text means by `off`, `007` or `2025-12-01`."""

    def at(self, *way: str | int) -> "Node":
        """Return the node below, or the nearest above where there is none."""
        node = self
        for step in way:
            try:
                node = node.value[step]
            except (KeyError, IndexError, TypeError):
                return node
        return node


class Complaints:
    """All that is wrong with a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._all: list[tuple[int, str]] = []

    def add(self, node: Node | int, message: str) -> None:
        """Note what is wrong in a line."""
        line = node if isinstance(node, int) else node.line
        if (line, message) not in self._all:
            self._all.append((line, message))

    def raise_any(self) -> None:
        """Raise PlanError where something is wrong."""
        if self._all:
            raise PlanError("\n".join(f"{self._path}:{line}: {message}" for line, message in sorted(self._all)))


def parse(path: Path) -> Node:
    """Read a YAML file. Raises PlanError where it cannot be read, or is not YAML."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise PlanError(f"there is no file {path}") from error
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise PlanError(f"{path} is empty")
        return _Reader(path, loader).read(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise PlanError(f"{path}:{line}: not readable as YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise PlanError(f"{path}: not readable as YAML: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()


class _Reader:
    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self._path = path
        self._loader = loader
        self._count = 0

    def read(self, node: yaml.Node, above: tuple[yaml.Node, ...] = ()) -> Node:
        line = node.start_mark.line + 1
        self._count += 1
        if node in above or self._count > _MOST_NODES:
            raise PlanError(f"{self._path}:{line}: aliases (&, *) that make the plan endless")
        above = (*above, node)
        if isinstance(node, yaml.MappingNode):
            self._no_twins(node)
            self._loader.flatten_mapping(node)
            found: dict[str, Node] = {}
            for key, value in node.value:
                name = str(key.value)  # as it is written: `null:` is a key like any other
                found[name] = self.read(value, above)
                found[name].line = key.start_mark.line + 1
            return Node(found, line)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.read(each, above) for each in node.value], line)
        return Node(self._loader.construct_object(node, deep=True), line, str(node.value))

    def _no_twins(self, node: yaml.MappingNode) -> None:
        names: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise PlanError(f"{self._path}:{key.start_mark.line + 1}: a key is a plain word")
            if key.value in names and key.value != "<<":
                raise PlanError(f"{self._path}:{key.start_mark.line + 1}: {key.value} is given twice")
            names.add(key.value)


def fill(kind: Any, node: Node, complaints: Complaints, name: str = "the plan") -> Any:
    """Return the node's value in the form of the type; what is wrong is noted, and then None is returned."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _fill_struct(kind, node, complaints, name)
    if get_origin(kind) is tuple:
        if not isinstance(node.value, list):
            complaints.add(node, f"{name} is a list: each of its entries begins with `- `")
            return None
        return tuple(fill(get_args(kind)[0], each, complaints, f"an entry of {name}") for each in node.value)
    inner = [each for each in get_args(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    if inner and node.value is not None:
        return fill(inner[0], node, complaints, name)
    try:
        return msgspec.convert(_usual(kind, node), kind, dec_hook=_path)
    except (msgspec.ValidationError, ValueError) as error:
        complaints.add(node, f"{name} cannot be {_shown(node)}: {_reason(kind, node.value, error)}")
        return None


def _fill_struct(kind: type[msgspec.Struct], node: Node, complaints: Complaints, name: str) -> Any:
    if not isinstance(node.value, dict):
        complaints.add(node, f"{name} has keys of its own: {', '.join(_keys(kind))}")
        return None
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for key, below in node.value.items():
        if key not in _keys(kind):
            complaints.add(below, f"{name} has no key {key!r}{_nearest(key, _keys(kind))}")
        else:
            values[key] = fill(hints[key], below, complaints, key)
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in node.value:
            complaints.add(node, f"{name} lacks {field.name!r}")
            return None
    return None if any(values[key] is None and node.value[key].value is not None for key in values) else kind(**values)


def _keys(kind: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind) if field.name != "path"]


def plain(node: Node) -> Any:
    """Return the value without its lines."""
    if isinstance(node.value, dict):
        return {key: plain(each) for key, each in node.value.items()}
    if isinstance(node.value, list):
        return [plain(each) for each in node.value]
    return node.value


def _usual(kind: Any, node: Node) -> Any:
    """Take what people write for what they mean: `id: 007` for a text, `100 MB` for a number."""
    value = plain(node)
    flat = list(_flat(kind))
    if str in flat and int not in flat and value is not None and node.text is not None:
        return node.text
    wants_number = any(get_origin(each) is not Literal and int in (each, *get_args(each)) for each in _flat(kind))
    if wants_number and isinstance(value, str):
        found = re.fullmatch(r"\s*([\d_]+(?:\.\d+)?)\s*([kKmMgG]?)(i?)[bB]?\s*", value)
        if found:
            power = " kmg".index(found[2].lower() or " ")
            return round(float(found[1].replace("_", "")) * (1024 if found[3] else 1000) ** power)
    return value


def _flat(kind: Any) -> Iterator[Any]:
    yield kind
    for each in get_args(kind):
        yield from _flat(each)


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError("it is a path")


def _shown(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a section with keys"
    return "a list" if isinstance(node.value, list) else repr(node.value) if node.value is not None else "empty"


def _reason(kind: Any, value: Any, error: Exception) -> str:
    choices = [str(each) for part in _flat(kind) if get_origin(part) is Literal for each in get_args(part)]
    if choices:
        near = get_close_matches(str(value).lower(), choices, n=1)
        quoted = [f'"{each}"' if not each.isalnum() else each for each in choices]
        return f"it is one of {' '.join(quoted)}" + (f"; did you mean {near[0]}?" if near else "")
    if value is None:
        return "a value is missing (one that begins with , : # or * stands in quotes)"
    return str(error).replace("`", "").partition(" - at")[0].lower()


def _nearest(name: str, among: list[str]) -> str:
    close = get_close_matches(name, among, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; it has: {', '.join(among)}"
