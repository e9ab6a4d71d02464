"""The web application: REST, the stream, the interface; by itself, or inside another (`control_room`)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orakul.errors import MissingExtraError

if TYPE_CHECKING:
    from orakul.web.serving import EmbeddedRoom, control_room

__all__ = ["EmbeddedRoom", "control_room"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: the parts of this package are of use without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module("orakul.web.serving"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("orakul"):
            raise
        raise MissingExtraError(error.name or "fastapi", "web") from error
