"""What happened: the event, who hears of it, and how it reaches them."""

from orakul.events.context import as_user, current_user
from orakul.events.event import Event, new_event_id, utc_now

__all__ = ["Event", "as_user", "current_user", "new_event_id", "utc_now"]
