"""How much of a program's operations is recorded, changeable while it runs."""

from collections.abc import Mapping
from enum import IntEnum
from fnmatch import fnmatchcase
from threading import Lock

import msgspec

__all__ = ["Level", "Spec", "detail_level", "set_detail_level", "spec_of"]


class Level(IntEnum):
    """How detailed an operation is, and how detailed a record one wants.

    An operation is recorded where its own level is at most the one that is set: with `STANDARD` set, those marked
    `MINIMAL` and `STANDARD`. An operation that fails is recorded whatever the level.
    """

    MINIMAL = 10
    STANDARD = 20
    DETAILED = 30
    DEBUG = 40

    @classmethod
    def _missing_(cls, value: object) -> "Level | None":
        """Take a level's name as well, as settings say it: `level="debug"`."""
        return cls.__members__.get(value.upper()) if isinstance(value, str) else None


class Spec(msgspec.Struct, eq=False):
    """What is known of an operation before it is called: one object a name and level, shared by all its calls.

    `on` is the only thing that a call looks at to learn whether it is recorded.
    """

    name: str
    level: Level
    on: bool
    file: str = ""
    line: int = 0


_lock = Lock()
_specs: dict[tuple[str, Level, str, int], Spec] = {}
_level = Level.STANDARD
_by_name: dict[str, Level] = {}


def _wanted(name: str) -> Level:
    for pattern, level in _by_name.items():
        if fnmatchcase(name, pattern):
            return level
    return _level


def spec_of(name: str, level: Level, file: str = "", line: int = 0) -> Spec:
    """Return the one Spec of these facts."""
    key = (name, level, file, line)
    spec = _specs.get(key)
    if spec is None:
        with _lock:
            spec = _specs.setdefault(key, Spec(name, level, level <= _wanted(name), file, line))
    return spec


def set_detail_level(level: Level | str, by_name: Mapping[str, Level | str] | None = None) -> None:
    """Set the level for all operations, and `by_name` for those whose name matches a pattern (`LOAD_*`).

    Takes effect at the next call of each operation, in every thread.
    """
    global _level  # noqa: PLW0603 (the one setting of the process)
    with _lock:
        parsed = {pattern: _parse(each) for pattern, each in (by_name or {}).items()}
        _level = _parse(level)
        _by_name.clear()
        _by_name.update(parsed)
        for spec in _specs.values():
            spec.on = spec.level <= _wanted(spec.name)


def detail_level() -> Level:
    """Return the level set for all operations."""
    return _level


def _parse(level: Level | str) -> Level:
    if isinstance(level, str):
        try:
            return Level[level.upper()]
        except KeyError:
            raise ValueError(f"no detail level {level!r}: it is one of {', '.join(Level.__members__)}") from None
    return Level(level)
