"""A small proxy that takes a prefix away, as nginx does with a slash at the end of `proxy_pass`.

python prefix_proxy.py PORT TARGET_PORT PREFIX [--silent]      (--silent: says nothing of the prefix)
"""

import asyncio
import contextlib
import sys

PORT, TARGET, PREFIX = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
SILENT = "--silent" in sys.argv


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one request, and close: the next one comes in a connection of its own."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, OSError):
        writer.close()
        return
    first, *lines = head.rstrip().split("\r\n")
    method, path, version = first.split(" ")
    if not path.startswith(f"{PREFIX}/"):
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()
        return
    kept = [line for line in lines if not line.lower().startswith(("connection:", "x-forwarded"))]
    kept += ["Connection: close", "X-Forwarded-For: 127.0.0.1"]
    if not SILENT:
        kept.append(f"X-Forwarded-Prefix: {PREFIX}")
    inner, outer = await asyncio.open_connection("127.0.0.1", TARGET)
    outer.write("\r\n".join([f"{method} {path.removeprefix(PREFIX)} {version}", *kept, "", ""]).encode("latin-1"))
    await asyncio.gather(pump(reader, outer), pump(inner, writer))


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", PORT)
    async with server:
        await server.serve_forever()


asyncio.run(main())
