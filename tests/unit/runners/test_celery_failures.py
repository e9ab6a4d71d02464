"""What is told of an error of a task."""

from collections.abc import Callable
from typing import Any

from orakul.runners.celery.failures import error_of


def _celerys(name: str) -> Callable[[], Any]:
    """Return a function of a module of this name that raises."""
    scope: dict[str, Any] = {"__name__": name}
    exec("def handler(): raise TimeoutError('soft')", scope)  # noqa: S102 (a frame of another module is needed)
    return scope["handler"]  # type: ignore[no-any-return]


def _caught(call: Callable[[], Any]) -> Exception:
    try:
        call()
    except Exception as error:  # noqa: BLE001 (whatever it raises is what is looked at)
        return error
    raise AssertionError


def test_the_place_is_in_the_task_where_celery_raises_within_it() -> None:
    handler = _celerys("billiard.pool")

    def task() -> None:
        handler()

    assert error_of(_caught(task))["place"].endswith(" task")


def test_the_place_is_the_innermost_of_the_applications_libraries() -> None:
    library = _celerys("requests.sessions")
    assert error_of(_caught(library))["place"].endswith(" handler")


def test_an_error_of_celery_alone_has_its_innermost_place() -> None:
    error = _caught(_celerys("billiard.pool"))
    own = error.__traceback__
    assert own is not None
    error.__traceback__ = own.tb_next
    assert error_of(error)["place"].endswith(" handler")
