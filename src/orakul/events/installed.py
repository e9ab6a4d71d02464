"""The observers that other packages have installed, by the entry-point group `orakul.observers`.

They hear of what happens in the process where it happens: in a worker of its tasks, in a program of its operations.
"""

import logging
from typing import TYPE_CHECKING, Any

from orakul.extensions import load, names

if TYPE_CHECKING:
    from orakul.events.dispatcher import Dispatcher

__all__ = ["GROUP", "installed_observers", "observed"]

GROUP = "orakul.observers"

_log = logging.getLogger("orakul.events")


def installed_observers() -> list[Any]:
    """Return the installed observers, made; one that cannot be is logged and left out, as the work is not to suffer."""
    from orakul.events.observer import telling  # noqa: PLC0415 (most programs install none, and do not pay for it)

    found = []
    for name in names(GROUP):
        try:
            named = load(GROUP, name)
            observer = named() if isinstance(named, type) or _takes_nothing(named) else named
            telling(observer)
        except Exception:  # noqa: BLE001 (logged, with its traceback; whatever it is, the work goes on)
            _log.exception("The observer %r cannot be used", name)
            continue
        found.append(observer)
    return found


def observed(recorder: Any) -> "Dispatcher | None":
    """Return a dispatcher that tells the recorder and the installed observers; None where none is installed.

    Then the recorder alone is told, without a detour. What a runner publishes is of its own making and not checked.
    """
    observers = installed_observers() if names(GROUP) else []
    if not observers:
        return None
    from orakul.events.catalogue import Catalogue  # noqa: PLC0415 (as above)
    from orakul.events.dispatcher import Dispatcher  # noqa: PLC0415 (as above)

    return Dispatcher([recorder, *observers], catalogue=Catalogue())


def _takes_nothing(named: Any) -> bool:
    """Say whether it is a function that makes an observer, rather than one that is told of events."""
    code = getattr(named, "__code__", None)
    return code is not None and code.co_argcount == 0 and not hasattr(named, "observe")
