"""Any notifier of the settings as what brings errors of operations to people: the join by `orakul.messengers`."""

import hashlib
import uuid

from orakul.reactions.making import Notifiers
from orakul.reactions.notifier import Message, Notifier
from orakul.settings import load_settings

__all__ = ["Messenger", "messenger"]

_LONGEST = 3_000


class Messenger:
    """`send(subject, text)` by a notifier. `apart`: each group of errors is to have a message of its own."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self.apart = notifier.apart

    def __call__(self, subject: str, text: str, count: int = 1) -> None:
        """Send it; errors of the same subject are one group."""
        digest = hashlib.sha256(subject.encode("utf-8", "replace")).hexdigest()
        message = Message(
            key=str(uuid.uuid4()),
            title=subject,
            text=text if len(text) <= _LONGEST else "…" + text[-_LONGEST:],
            severity="error",
            group=f"operations {digest[:16]}",
            count=count,
            event={"event_type": "operation.failed", "data": {"subject": subject, "count": count}},
        )
        self._notifier.send([message])


def messenger(name: str) -> Messenger | None:
    """Return the notifier of the settings by that name, None where there is none."""
    given = load_settings().notifiers
    return Messenger(Notifiers(given).get(name)) if name in given else None
