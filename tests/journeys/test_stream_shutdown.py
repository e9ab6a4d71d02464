"""SIGTERM ends a server with open streams promptly; uvicorn by itself would wait for them for ever."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import free_port
from streams import Listener

TESTS = Path(__file__).parent.parent

PLAIN = """
import sys, uvicorn
sys.path.insert(0, sys.argv[2])
from streams import MemoryFeed, by_name, task_entry
from orakul.web.stream import Hub, StreamApp
class Made:
    # Made in the loop's own thread, as the feed of the tests wants it.
    app = None
    async def __call__(self, scope, receive, send):
        if self.app is None:
            Made.app = StreamApp(Hub(MemoryFeed([task_entry(1)])), by_name)
        await self.app(scope, receive, send)
uvicorn.run(Made(), port=int(sys.argv[1]), log_level="warning")
"""


async def connected(port: int) -> Listener:
    async with asyncio.timeout(20):
        while True:
            try:
                return await Listener(port).open()
            except OSError:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("server", ["StreamServer", "plain uvicorn"])
def test_sigterm_ends_open_streams_in_order(server: str, spawn: Callable[..., Any], database_url: str) -> None:
    async def law() -> None:
        port = free_port()
        if server == "StreamServer":
            process = spawn([sys.executable, str(TESTS / "streams.py"), database_url, str(port)])
        else:
            process = spawn([sys.executable, "-c", PLAIN, str(port), str(TESTS)])
        readers = [await connected(port) for _ in range(20)]
        for reader in readers:
            await reader.until(lambda me: me.last_id != "")
        began = time.monotonic()
        process.popen.send_signal(signal.SIGTERM)
        for reader in readers:
            with pytest.raises(EOFError) as ended:
                await reader.until(lambda _: False, within=15)
            assert not isinstance(ended.value, asyncio.IncompleteReadError)  # an end, not a cut
        await asyncio.to_thread(process.wait)
        assert time.monotonic() - began < 15  # and not for ever
        assert "Traceback" not in process.text().replace("KeyboardInterrupt", "")

    asyncio.run(law())
