"""How assembly gets the runner: by the entry point `orakul.runners`."""

from orakul.runners.celery.control import CeleryRunner
from orakul.settings import Settings
from orakul.tasks.masking import Masks
from orakul.tasks.orders import Fleet
from orakul.tasks.sealing import Sealer

__all__ = ["runner"]


def runner(settings: Settings, sealer: Sealer, fleet: Fleet) -> CeleryRunner | None:
    """Return the runner of the broker in the settings, None where none is set."""
    if settings.celery.broker is None:
        return None
    return CeleryRunner(
        settings.celery.broker,
        sealer,
        fleet=fleet,
        masks=Masks(settings.mask),
        management=settings.celery.management_url,
    )
