"""uvicorn that ends the streams before it waits for its connections; by itself it would wait for them for ever."""

import socket

import uvicorn

from orakul.web.stream.hub import Hub

__all__ = ["StreamServer"]


class StreamServer(uvicorn.Server):
    """A uvicorn server with a hub's streams on it."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then shut down as uvicorn does."""
        await self._hub.close()
        await super().shutdown(sockets)
