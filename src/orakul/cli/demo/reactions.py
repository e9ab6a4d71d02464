"""Whom the demo tells of what: a log, so that nobody is written to, and each message is a task to look at."""

from typing import Any

__all__ = ["NOTIFIERS", "RULES"]

NOTIFIERS: dict[str, dict[str, Any]] = {"house-log": {"kind": "log", "quiet": True}}
RULES: tuple[dict[str, Any], ...] = (
    {
        "name": "a task of the shop fails",
        "notify": ["house-log"],
        "when": {"event": "task.failed", "kind": "celery"},
        "every": "2m",
        "recovered": True,
    },
)
