"""Acknowledgements that go out together: one frame says of many messages that they were handled."""

import asyncio
import contextlib
from collections import deque
from typing import Any

from orakul.brokers.rabbitmq.wire import TROUBLE, unless_cancelled
from orakul.errors import BrokerUnavailableError

__all__ = ["Acks"]


class Acks:
    """The deliveries of one channel: in the order in which they came, and those that are handled.

    What was handled in a row from the oldest on is acknowledged by one frame, the rest by one each; they go out when
    the loop next comes round, so a storm goes in dozens, and a lone one at once.
    """

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self._outstanding: deque[int] = deque()
        self._handled: set[int] = set()
        self._sending: asyncio.Task[None] | None = None

    def came(self, tag: int) -> None:
        """Note a delivery."""
        self._outstanding.append(tag)

    def ack(self, tag: int) -> None:
        """Acknowledge soon; raise where the channel is gone and took the message back."""
        if self.channel.is_closed or self.channel.closing.done():
            raise BrokerUnavailableError("the connection was lost; the message comes again")
        self._handled.add(tag)
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_soon())

    async def _send_soon(self) -> None:
        try:
            await asyncio.sleep(0)
            await self.flush()
        except TROUBLE as error:  # they come again
            unless_cancelled(error)
        finally:
            self._sending = None
            if self._handled and not self.channel.is_closed:
                self._sending = asyncio.get_running_loop().create_task(self._send_soon())

    async def flush(self) -> None:
        """Send what is handled."""
        last = None
        while self._outstanding and self._outstanding[0] in self._handled:
            last = self._outstanding.popleft()
            self._handled.discard(last)
        if last is not None:
            await self.channel.basic_ack(last, multiple=True, wait=False)
        for tag in sorted(self._handled):
            self._handled.discard(tag)
            with contextlib.suppress(ValueError):
                self._outstanding.remove(tag)
            await self.channel.basic_ack(tag, wait=False)
