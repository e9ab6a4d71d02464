"""Orakul: mission control for the background work of Python systems."""

from orakul.events.context import as_user, current_user

__all__ = ["__version__", "as_user", "current_user"]

__version__ = "0.1.0"
