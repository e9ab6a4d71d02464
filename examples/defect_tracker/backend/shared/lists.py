"""Lists by pages: `?after=` the last id seen, `?limit=`; and the texts that people send."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query
from pydantic import AfterValidator, StringConstraints

__all__ = ["After", "Limit", "LongText", "Name", "page"]

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
After = Annotated[int, Query(ge=0, le=2**62, description="Only those with a greater id.")]


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("a NUL character cannot be stored")
    return value


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_storable)]
LongText = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_storable)]


def page(rows: Sequence[Any], limit: int) -> dict[str, Any]:
    """Return up to `limit` rows (one more was asked for), and where the next page begins."""
    items = list(rows[:limit])
    return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}
