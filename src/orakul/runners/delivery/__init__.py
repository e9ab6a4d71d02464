"""Commands to deliveries: a failed one is run again from the dead letters of its consumer, a waiting one not begun."""

from orakul.runners.delivery.control import DeliveryRunner
from orakul.settings import Settings
from orakul.tasks.orders import Fleet
from orakul.tasks.sealing import Sealer

__all__ = ["DeliveryRunner", "runner"]


def runner(settings: Settings, _sealer: Sealer, _fleet: Fleet) -> DeliveryRunner | None:
    """Return the runner of the events' broker, None where none is set."""
    return None if settings.events.broker is None else DeliveryRunner(settings.events.broker)
