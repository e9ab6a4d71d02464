"""A group of settings, what its fields are, and what of them is secret."""

import re
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec
from msgspec import Meta

__all__ = ["Section", "fields_of", "is_secret", "is_section", "without_password"]

_URL_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):([^/@\s]*)@")


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A group of settings that hides what is secret when it is printed."""

    def __repr__(self) -> str:
        hidden = {field for field, (_, meta) in fields_of(type(self)).items() if is_secret(meta)}
        shown = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name in hidden and value is not None:
                value = without_password(value) if "://" in str(value) else "…"
            shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []  # frames printed by rich show the type only


def without_password(url: str) -> str:
    """Return the address with its password hidden, fit for messages."""
    return _URL_PASSWORD.sub(r"\1:…@", url)


def is_section(kind: Any) -> bool:
    """Return whether a field's type is a section of the file."""
    return isinstance(kind, type) and issubclass(kind, Section)


def is_secret(meta: Meta | None) -> bool:
    """Return whether a setting's value must not be shown."""
    return bool(meta and (meta.extra_json_schema or {}).get("secret"))


def fields_of(section: type[Section]) -> dict[str, tuple[Any, Meta | None]]:
    """Return each field's bare type and its Meta."""
    fields: dict[str, tuple[Any, Meta | None]] = {}
    for name, hint in get_type_hints(section, include_extras=True).items():
        if not name.startswith("_"):
            meta = hint.__metadata__[0] if get_origin(hint) is Annotated else None
            fields[name] = (hint.__origin__ if meta else hint, meta)
    return fields
