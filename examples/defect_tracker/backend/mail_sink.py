"""A mail server that delivers to nobody: it prints each letter. `python -m backend.mail_sink`.

As much of SMTP as a client that sends a letter needs (RFC 5321), and nothing of what keeps a real server safe: for
loopback, and for a compose file's own network.
"""

import argparse
import asyncio
from email import message_from_bytes, policy

__all__ = ["main", "serve"]

_LARGEST = 10 << 20


async def _session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def say(line: str) -> None:
        writer.write(f"{line}\r\n".encode())
        await writer.drain()

    to: list[str] = []
    await say("220 defect tracker mail sink")
    while line := await reader.readline():
        verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
        match verb.upper():
            case "EHLO" | "HELO":
                await say("250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 10485760")
            case "MAIL" | "RSET" | "NOOP":
                to = []
                await say("250 OK")
            case "RCPT":
                to.append(rest.partition(":")[2].strip("<> "))
                await say("250 OK")
            case "DATA":
                await say("354 go on, end with a dot")
                _show(await _content(reader), to)
                await say("250 taken")
            case "QUIT":
                await say("221 bye")
                break
            case _:
                await say("502 not known here")
    writer.close()


async def _content(reader: asyncio.StreamReader) -> bytes:
    lines: list[bytes] = []
    size = 0
    while (line := await reader.readline()) not in {b".\r\n", b".\n", b""}:
        size += len(line)
        if size <= _LARGEST:
            lines.append(line[1:] if line.startswith(b"..") else line)
    return b"".join(lines)


def _show(raw: bytes, to: list[str]) -> None:
    letter = message_from_bytes(raw, policy=policy.default)
    body = letter.get_body(("plain",))  # type: ignore[attr-defined]  # of the default policy
    text = body.get_content().strip() if body else ""
    shown = "\n".join(f"[MAIL]   {line}" for line in text.splitlines())
    print(f"[MAIL] To: {', '.join(to)} | Subject: {letter['subject']}\n{shown}", flush=True)


async def serve(host: str, port: int) -> None:
    """Serve until cancelled."""
    server = await asyncio.start_server(_session, host, port)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Run the sink."""
    parser = argparse.ArgumentParser(description="A mail server that prints each letter.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1025)
    given = parser.parse_args()
    asyncio.run(serve(given.host, given.port))


if __name__ == "__main__":
    main()
