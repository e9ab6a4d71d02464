"""When this happens, tell them: rules, what they make of events, and the deliveries of that."""

from orakul.reactions.notifier import Message, Notifier, NotifierError, Options, PassingError, PermanentError, Receipt
from orakul.reactions.secret import Secret

__all__ = [
    "Message",
    "Notifier",
    "NotifierError",
    "Options",
    "PassingError",
    "PermanentError",
    "Receipt",
    "Secret",
]
