"""The last word on a pipeline, asked for: for health checks and dashboards."""

import inspect
from collections.abc import Awaitable
from typing import Any, cast

import msgspec

from orakul.pipelines.message import CHANNEL, STATE

__all__ = ["poll_pipeline_state"]


def poll_pipeline_state(redis: Any, result_name: str) -> Any:
    """Return what a pipeline said last as a dict, or None where that has expired or was never said.

    `redis` is a client of redis-py; with one of `redis.asyncio` the answer is to be awaited. What the key holds and is
    no JSON object is a ValueError.
    """
    value = redis.get(f"{CHANNEL}{result_name}{STATE}")
    if inspect.isawaitable(value):
        return _polled(value)
    return _decoded(value)


async def _polled(value: Awaitable[Any]) -> dict[str, Any] | None:
    return _decoded(await value)


def _decoded(value: bytes | str | None) -> dict[str, Any] | None:
    if value is None:
        return None
    state = msgspec.json.decode(value)
    if not isinstance(state, dict):
        raise ValueError(f"the state of a pipeline is an object, not {type(state).__name__}")  # noqa: TRY004 (of data)
    return cast("dict[str, Any]", state)
