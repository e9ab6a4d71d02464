"""What happened: the event, who hears of it, and how it reaches them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orakul.events.context import as_user, current_user
from orakul.events.event import Event, new_event_id, utc_now

if TYPE_CHECKING:
    from orakul.events.catalogue import CATALOGUE, Catalogue, EventType, event_type, upcast
    from orakul.events.dispatcher import Dispatcher
    from orakul.events.observer import AnyObserver, AsyncObserver, Observer, TaskObserver, TypedObserver

__all__ = [
    "CATALOGUE",
    "AnyObserver",
    "AsyncObserver",
    "Catalogue",
    "Dispatcher",
    "Event",
    "EventType",
    "Observer",
    "TaskObserver",
    "TypedObserver",
    "as_user",
    "current_user",
    "event_type",
    "new_event_id",
    "upcast",
    "utc_now",
]

# What records an event needs no more than the event: the rest is loaded when it is asked for.
_ELSEWHERE = {
    **dict.fromkeys(("CATALOGUE", "Catalogue", "EventType", "event_type", "upcast"), "catalogue"),
    **dict.fromkeys(("AnyObserver", "AsyncObserver", "Observer", "TaskObserver", "TypedObserver"), "observer"),
    "Dispatcher": "dispatcher",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
