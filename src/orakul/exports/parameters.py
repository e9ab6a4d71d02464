r"""Bound parameters in SQL: `:name`, wherever it is not in a text, a quoted name or a comment, or part of `::type`.

A list stands for as many values: `in (:ids)`. A colon that is meant as one is written `\:`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["bind", "names_in", "without_end"]

_PART = re.compile(
    r"""
      (?P<text> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`
        | --[^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<escaped> \\: )
    | (?P<cast> :: )
    | (?<![\w:\])"']) : (?P<name> [^\W\d]\w* )
    """,
    re.VERBOSE | re.DOTALL,
)


def names_in(sql: str) -> list[str]:
    """Return the parameters that the SQL asks for, each once, in order."""
    return list(dict.fromkeys(found["name"] for found in _PART.finditer(sql) if found["name"]))


def bind(sql: str, parameters: Mapping[str, Any], place: Callable[[str, Any], str]) -> str:
    """Return the SQL with each parameter's place taken by what `place(name, value)` says.

    The parts of a list are called `name_0`, `name_1` …; an empty list is NULL, which is in nothing.
    """

    def taken(found: re.Match[str]) -> str:
        if found["escaped"]:
            return ":"
        name = found["name"]
        if not name:
            return found[0]
        return ", ".join(place(key, value) for key, value in _parts(name, parameters[name])) or "NULL"

    return _PART.sub(taken, sql)


def without_end(sql: str) -> str:
    """Return the SQL without semicolons and white space at its end, and so that it may be put in brackets."""
    return re.sub(r"[;\s]+\Z", "", sql) + "\n"


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, (list, tuple)):
        yield name, value
        return
    for number, each in enumerate(value):
        yield f"{name}_{number}", each
