"""The keys of the settings by their dotted names, with what is said of each."""

from collections.abc import Iterator
from functools import cache
from typing import Any, get_type_hints

import msgspec

from orakul.settings.form import Settings
from orakul.settings.section import Section, fields_of, is_secret, is_section

__all__ = ["Key", "hint_of", "known", "sections"]


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One setting, described."""

    name: str
    variable: str
    type: Any
    default: Any
    description: str
    secret: bool


def _walk(section: type[Section] = Settings, prefix: str = "") -> Iterator[tuple[Key, Any]]:
    defaults = {field.name: field.default for field in msgspec.structs.fields(section)}
    hints = get_type_hints(section, include_extras=True)
    for name, (kind, meta) in fields_of(section).items():
        if is_section(kind):
            yield from _walk(kind, f"{prefix}{name}.")
            continue
        dotted = f"{prefix}{name}"
        default = None if defaults[name] is msgspec.NODEFAULT else defaults[name]
        variable = "ORAKUL_" + dotted.upper().replace(".", "_")
        description = (meta and meta.description) or ""
        yield (
            Key(
                name=dotted,
                variable=variable,
                type=kind,
                default=default,
                description=description,
                secret=is_secret(meta),
            ),
            hints[name],
        )


@cache
def known() -> dict[str, Key]:
    """Return all settings by their dotted name, in the order of the reference."""
    return {key.name: key for key, _ in _walk()}


@cache
def hint_of(name: str) -> Any:
    """Return the annotated type of a setting, to convert by."""
    return {key.name: hint for key, hint in _walk()}[name]


def sections() -> dict[str, type[Section]]:
    """Return the sections of the file and what they become."""
    return {name: kind for name, (kind, _) in fields_of(Settings).items() if is_section(kind)}
