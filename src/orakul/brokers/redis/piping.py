"""Many commands at once, at the price of the library in C: redis-py packs each in Python, and times each answer."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import hiredis
import redis.exceptions as errors

__all__ = ["command", "piped"]

_ANSWER_SECONDS = 30.0

_pack: Any = hiredis.pack_command  # its types know one argument only


def command(*parts: str | bytes) -> bytes:
    """Return a command as it is sent; raise TypeError or ValueError where it cannot be."""
    made: bytes = _pack(parts)
    return made


async def piped(redis: Any, commands: Sequence[bytes]) -> list[Any]:
    """Send packed commands and return their answers in order, refusals as exceptions; raise where Redis goes away."""
    pool = redis.connection_pool
    connection = await pool.get_connection()
    answers: list[Any] = []
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await connection.send_packed_command(commands, check_health=False)
            for _ in commands:
                try:
                    answers.append(await connection.read_response(timeout=math.inf))
                except errors.ResponseError as error:
                    answers.append(error)
    except BaseException:
        await connection.disconnect(nowait=True)  # what is still to come would be taken for the answers of others
        raise
    finally:
        await pool.release(connection)
    return answers
