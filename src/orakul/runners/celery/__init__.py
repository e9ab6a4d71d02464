"""Celery, instrumented: one line in the application records its tasks.

    from orakul.runners.celery import install

    app = Celery("shop", broker="redis://…")
    install(app)

Nothing here raises into the application or waits for anything but a write to a local file. One thing may: a task that
somebody cancels gets `TaskCancelled` raised where it stands, to clean up and let through (see `stopping`); a long loop
may also ask by itself, `cancelled()` or `raise_if_cancelled()`.
"""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orakul.runners.celery.stopping import TaskCancelled, cancelled, raise_if_cancelled

__all__ = ["TaskCancelled", "cancelled", "install", "progress", "raise_if_cancelled"]


def install(app: Any, **overrides: Any) -> None:
    """Record the tasks of a Celery application, on its publishers' side and its workers' side.

    Call it once the application is made, in the module that publishers and workers both import; again does nothing.
    `overrides` are settings by their names (`data="/var/lib/orakul"`), stronger than file and environment.
    """
    try:
        from orakul.runners.celery.installation import install_on  # noqa: PLC0415 (loads Celery only when it is used)

        install_on(app, overrides)
    except Exception:
        logging.getLogger(__name__).exception("Orakul could not be installed; the application goes on without it.")


def progress(**facts: Any) -> None:
    """Say from inside a task how far it is: `progress(done=3, total=10)`. Shown live on its page; never raises."""
    from orakul.runners.celery.headway import tell_progress  # noqa: PLC0415 (as above)
    from orakul.runners.celery.parts import quiet  # noqa: PLC0415 (as above)

    quiet(tell_progress)(facts)


def __getattr__(name: str) -> Any:
    """Import what a task needs to be stopped in good order, when it is first asked for."""
    if name not in {"TaskCancelled", "cancelled", "raise_if_cancelled"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from orakul.runners.celery import stopping  # noqa: PLC0415 (loads Celery only when it is used)

    return getattr(stopping, name)
