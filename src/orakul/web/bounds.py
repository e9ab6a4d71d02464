"""What is shown of things without bounds: an honest beginning, and a note that it is not all."""

from typing import Any

import msgspec

__all__ = ["bounded", "bounded_text"]

LARGEST = 1_000_000
_BEGINNING = 20_000


def bounded(value: Any, largest: int = LARGEST) -> Any:
    """Return the value as JSON to be put into an answer, or its beginning with a note where it is too large."""
    if value is None:
        return None
    try:
        text = msgspec.json.encode(value)
    except (RecursionError, ValueError, TypeError, OverflowError, msgspec.MsgspecError):
        return {"orakul": "cannot be shown: it is nested too deeply, or is no JSON"}
    if len(text) <= largest:
        return msgspec.Raw(text)
    beginning = text[:_BEGINNING].decode("utf-8", "ignore")
    return {"orakul": f"too large to show whole: {len(text):,} bytes", "bytes": len(text), "beginning": beginning}


def bounded_text(text: str | None, largest: int = LARGEST) -> str | None:
    """Return the text, or its two ends with a note between them: the end of a traceback says the most."""
    if text is None or len(text) <= largest:
        return text
    half = _BEGINNING
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"
