"""The catalogue: for each known type of event a small class that says what its data hold.

An `EventType` is written once and serves four times: it checks at the publisher what is published, it is what typed
observers are handed, it documents itself (`Catalogue.describe`), and it is its JSON Schema. Types that
are not in the catalogue may be published by anybody; they are not checked. Fields that a type does not know are
kept in the event.

A type whose data change their form gets a new version, and for each older one a function that lifts its data by one:

    @event_type("defect.created", version=2)
    class DefectCreated(EventType):
        'A defect was reported.'

        defect_id: int
        severity: int

    @upcast("defect.created", 1)
    def _severity_was_a_word(data: dict[str, Any]) -> dict[str, Any]:
        return {"severity": {"low": 1, "high": 3}[data.pop("priority")], **data}

An event says its version beside its data (`"version": 2`); without a word it is the first. One of a version that is
newer than what a program knows is read by what it knows, if it fits.
"""

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar

import msgspec

from orakul.errors import InvalidEventError
from orakul.events.event import Event

__all__ = ["CATALOGUE", "Catalogue", "Description", "EventType", "Field", "event_type", "upcast"]


class EventType(msgspec.Struct, kw_only=True, omit_defaults=True, dict=True):
    """The data of one type of event. Subclasses are entered by `@event_type("dotted.name")`.

    `envelope` is the event it was read from: its time, owner, task.
    """

    type_name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    upcasters: ClassVar[Mapping[int, "Upcaster"]] = types.MappingProxyType({})

    @property
    def envelope(self) -> Event:
        """The event that these data are of."""
        envelope = self.__dict__.get("envelope")
        if envelope is None:
            raise AttributeError(f"{type(self).__name__} was made by hand, not read from an event")
        return typing.cast("Event", envelope)

    @classmethod
    def of(cls, event: Event) -> Self:
        """Read the data of an event; raise InvalidEventError, naming the field, where they do not fit."""
        read = _read(event, cls)
        read.__dict__["envelope"] = event
        return read

    def event(self, **envelope: Any) -> Event:
        """Return an event with these data; `envelope` takes its other fields (`task_id`, `user_id`, …)."""
        if self.version > 1:
            envelope["extra"] = {"version": self.version} | envelope.get("extra", {})
        return Event(event_type=self.type_name, data=msgspec.to_builtins(self), **envelope)


Upcaster: typing.TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
T = TypeVar("T", bound=EventType)


class Field(msgspec.Struct, frozen=True):
    """One field of a type's data."""

    name: str
    type: str
    required: bool
    description: str


class Description(msgspec.Struct, frozen=True):
    """What the catalogue says of one type."""

    event_type: str
    summary: str
    fields: list[Field]


class Catalogue:
    """The known types of events, by name."""

    def __init__(self) -> None:
        self._types: dict[str, type[EventType]] = {}
        self._upcasters: dict[str, dict[int, Upcaster]] = {}

    def register(self, name: str, kind: type[T], version: int = 1) -> type[T]:
        """Enter a type under its dotted name, with the version of its form."""
        known = self._types.get(name)
        if known is not None and known.__qualname__ != kind.__qualname__:
            raise ValueError(f"the event type {name} is {known.__qualname__} already, so {kind.__qualname__} cannot be")
        if not kind.__doc__ or kind.__doc__.startswith(f"{kind.__name__}("):
            raise ValueError(f"the event type {name} needs a docstring: its description in the catalogue")
        kind.type_name = name
        kind.version = version
        kind.upcasters = self._upcasters.setdefault(name, {})
        self._types[name] = kind
        return kind

    def add(self, kind: type[EventType]) -> None:
        """Take over a type that another catalogue knows."""
        self._types[kind.type_name] = kind

    def lift(self, name: str, version: int, upcaster: Upcaster) -> None:
        """Enter what makes data of a version those of the next."""
        self._upcasters.setdefault(name, {})[version] = upcaster

    def get(self, name: str) -> type[EventType] | None:
        """Return the class of a type, None for one that is not known."""
        return self._types.get(name)

    def __iter__(self) -> Iterator[type[EventType]]:
        return iter(list(self._types.values()))

    def __len__(self) -> int:
        return len(self._types)

    def check(self, event: Event) -> None:
        """Raise InvalidEventError, naming the field, where an event of a known type does not fit it."""
        kind = self._types.get(event.event_type)
        if kind is not None:
            _read(event, kind)

    def stamped(self, event: Event) -> Event:
        """Return an event that is to be published, checked, with its version; one that says none is of the newest."""
        kind = self._types.get(event.event_type)
        if kind is not None and kind.version > 1 and "version" not in event.extra:
            event = msgspec.structs.replace(event, extra={"version": kind.version} | event.extra)
        self.check(event)
        return event

    def describe(self) -> list[Description]:
        """Return all types with their fields, for documentation."""
        return [_describe(kind) for _, kind in sorted(self._types.items())]

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the data of each type, by its name."""
        kinds = sorted(self._types.items())
        schemas, components = msgspec.json.schema_components([kind for _, kind in kinds], ref_template="#/$defs/{name}")
        named = {name: schema for (name, _), schema in zip(kinds, schemas, strict=True)}
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": named, "$defs": components}


CATALOGUE = Catalogue()
"""The types that this installation knows."""


def event_type(name: str, catalogue: Catalogue = CATALOGUE, *, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Enter the decorated class in the catalogue, under a dotted name."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"{name!r} is no dotted name")
    if version < 1:
        raise ValueError(f"{name}: versions are numbered from 1")
    return lambda kind: catalogue.register(name, kind, version)


def upcast(name: str, version: int, catalogue: Catalogue = CATALOGUE) -> Callable[[Upcaster], Upcaster]:
    """Let the decorated function make data of a type's version those of the next; it may change what it is given."""

    def enter(upcaster: Upcaster) -> Upcaster:
        catalogue.lift(name, version, upcaster)
        return upcaster

    return enter


def _lifted(event: Event, kind: type[EventType]) -> Any:
    """Return the event's data in the form of the type's version."""
    said = event.extra.get("version", 1)
    if not isinstance(said, int) or isinstance(said, bool) or said < 1:
        raise InvalidEventError(f"{event.event_type}: the version is a number from 1, not {said!r}")
    if said >= kind.version:
        return event.data
    data = dict(event.data)
    for version in range(said, kind.version):
        upcaster = kind.upcasters.get(version)
        if upcaster is None:
            raise InvalidEventError(
                f"{event.event_type}: version {version} cannot be read, as nothing makes it version {version + 1}: "
                f'@upcast("{event.event_type}", {version})'
            )
        try:
            data = upcaster(data)
        except Exception as error:
            place = f"{event.event_type}: its data of version {version} cannot be made version {version + 1}"
            raise InvalidEventError(f"{place}: {type(error).__name__}: {error}") from error
    return data


def _read(event: Event, kind: type[T]) -> T:
    data = event.data if kind.version == 1 else _lifted(event, kind)
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".")
        place = f"data.{field}" if field else "data"
        newer = event.extra.get("version", 1)
        known = f" (it is version {newer}, known here is {kind.version})" if newer != kind.version else ""
        raise InvalidEventError(f"{event.event_type}: {place}: {said}{known}") from error


def _describe(kind: type[EventType]) -> Description:
    explained = _explanations(kind)
    hints = typing.get_type_hints(kind)
    fields = [
        Field(field.name, _shown(hints[field.name]), field.required, explained.get(field.name, ""))
        for field in msgspec.structs.fields(kind)
    ]
    return Description(kind.type_name, " ".join((kind.__doc__ or "").split()), fields)


def _explanations(kind: type[EventType]) -> Mapping[str, str]:
    """Return what `explains` of the class and its bases say of the fields."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= vars(base).get("explains", {})
    return found


def _shown(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " | ".join(_shown(part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is not None:
        return str(hint).replace("typing.", "")
    return "null" if hint is type(None) else getattr(hint, "__name__", str(hint))
