"""What is told of an error: its type, message, traceback and the place where it arose."""

import traceback
from collections.abc import Sequence
from typing import Any

from orakul.tasks.masking import clean_text, hide_in

__all__ = ["error_of"]

_MESSAGE = 4_000
_TRACEBACK = 32_000
_FRAMES = 50
_TAIL = 24_000
# Their frames are passed over for the place: a soft limit's handler, what raises again at `retry`, and our own wrapper.
_CELERYS = ("celery.", "billiard.", "kombu.", "orakul.runners.")


def error_of(exception: BaseException | None, einfo: Any = None, secrets: Sequence[str] = ()) -> dict[str, Any]:
    """Return the error as the journal keeps it; bounded, and with the secrets masked that stand in it verbatim."""
    exception = _unwrapped(exception)
    error: dict[str, Any] = {"type": _name(exception), "message": _shown(_message(exception), secrets, _MESSAGE)}
    text = _traceback(exception, einfo)
    if text:
        error["traceback"] = _shown(text, secrets, _TRACEBACK)
    place = _place(exception)
    if place:
        error["place"] = place
    return error


def _unwrapped(exception: BaseException | None) -> BaseException | None:
    """Return the exception inside those that billiard carries between processes."""
    inner = getattr(exception, "exc", None)
    is_carrier = type(exception).__name__ in {"ExceptionWithTraceback", "RemoteTraceback"}
    return inner if is_carrier and isinstance(inner, BaseException) else exception


def _name(exception: BaseException | None) -> str:
    if exception is None:
        return "Unknown"
    kind = type(exception)
    # An exception that cannot be pickled is carried as this, with its own class's name inside.
    if kind.__name__ == "UnpickleableExceptionWrapper":
        return clean_text(str(getattr(exception, "exc_cls_name", kind.__name__)), 200)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _message(exception: BaseException | None) -> str:
    try:
        return str(exception) if exception is not None else ""
    except Exception:  # noqa: BLE001 (a user's __str__ may raise)
        return "[its text cannot be shown]"


def _traceback(exception: BaseException | None, einfo: Any) -> str:
    text = getattr(einfo, "traceback", None)
    if isinstance(text, str):
        return text
    if exception is None or exception.__traceback__ is None:
        return ""
    return "".join(traceback.format_exception(exception, limit=-_FRAMES))


def _place(exception: BaseException | None) -> str | None:
    """Return `file:line function` of the innermost frame that is not Celery's; of the innermost where all are."""
    frame = exception.__traceback__ if exception is not None else None
    told = None
    told_is_own = False
    for _ in range(10_000):  # a recursion that went too deep is still walked in a millisecond
        if frame is None:
            break
        own = not str(frame.tb_frame.f_globals.get("__name__")).startswith(_CELERYS)
        if own or not told_is_own:
            told, told_is_own = frame, own
        frame = frame.tb_next
    if told is None:
        return None
    code = told.tb_frame.f_code
    return clean_text(f"{code.co_filename}:{told.tb_lineno} {code.co_name}", 500)


def _shown(text: str, secrets: Sequence[str], limit: int) -> str:
    """Return the text masked and cut; of a long one the end is kept too, where a traceback says what happened."""
    if len(text) > 20 * limit:
        text = f"{text[: 10 * limit]}\n… [cut] …\n{text[-9 * limit :]}"
    text = hide_in(text, secrets)
    if len(text) > limit:
        tail = min(_TAIL, limit // 2)
        text = f"{text[: limit - tail]}\n… [{len(text) - limit:,} characters left out] …\n{text[-tail:]}"
    return clean_text(text)
