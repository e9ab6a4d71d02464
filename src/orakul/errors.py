"""The error family.

    OrakulError
    ├── SettingsError         a wrong key or value; names file, line and the nearest right one
    ├── PlanError             the same of an export plan, or a group, script or column that it lacks
    ├── SourceError           a source's database refused a query, or went away in the middle
    ├── MissingExtraError     a product's client is not installed; names the extra
    ├── InvalidEventError     an event that does not fit its form; nothing was stored
    ├── InvalidQueryError     an unknown filter, cursor or sort                        (HTTP 422)
    ├── TaskNotFoundError     no such task, or not yours: the two are not told apart   (HTTP 404)
    ├── WrongStateError       the task's state does not allow the command              (HTTP 409)
    ├── NotPossibleError      the command cannot be done for this task, and why        (HTTP 409)
    └── UnavailableError      something outside does not answer; trying again may help (HTTP 503)
        ├── JournalUnavailableError
        └── BrokerUnavailableError

Each message says what happened and what to do; the cause is kept (`raise … from`).
"""

__all__ = [
    "BrokerUnavailableError",
    "InvalidEventError",
    "InvalidQueryError",
    "JournalUnavailableError",
    "MissingExtraError",
    "NotPossibleError",
    "OrakulError",
    "PlanError",
    "SettingsError",
    "SourceError",
    "TaskNotFoundError",
    "UnavailableError",
    "WrongStateError",
]


class OrakulError(Exception):
    """Whatever Orakul raises of its own."""


class SettingsError(OrakulError):
    """A setting is wrong."""


class PlanError(OrakulError):
    """An export plan is wrong, or lacks what was asked for."""


class SourceError(OrakulError):
    """A database that exports read from refused a query, or went away."""


class MissingExtraError(OrakulError):
    """A client library is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'orakul[{extra}]'")


class InvalidEventError(OrakulError):
    """An event does not fit its form."""


class InvalidQueryError(OrakulError):
    """A list was asked for in a way that it does not know."""


class TaskNotFoundError(OrakulError):
    """There is no such task for the one who asks."""


class WrongStateError(OrakulError):
    """The task is in a state that does not allow the command."""


class NotPossibleError(OrakulError):
    """The command cannot be carried out for this task."""


class UnavailableError(OrakulError):
    """Something outside does not answer."""


class JournalUnavailableError(UnavailableError):
    """PostgreSQL does not answer."""


class BrokerUnavailableError(UnavailableError):
    """The broker does not answer."""
