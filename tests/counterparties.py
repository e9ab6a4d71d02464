"""The other sides of notifiers: real servers on loopback, that keep what they are sent and answer as they are told."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from processes import free_port

__all__ = ["Asked", "Counterparty", "MailServer", "counterparty", "mail_server"]


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Counterparty:
    """An HTTP server: keeps what it is asked, and answers by `answer`, or with the status that `trouble` says.

    `trouble` is a status, or "never": then the request is not answered while the server lives.
    """

    url: str
    asked: list[Asked] = field(default_factory=list)
    trouble: int | str | None = None
    retry_after: str | None = None
    answer: Callable[[Asked], tuple[int, Any]] = lambda _: (200, {})
    troubled: dict[int, Any] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def reply(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(asked)
        if self.trouble == "never":
            self.ended.wait(60)
        headers = {"Content-Type": "application/json"}
        if isinstance(self.trouble, int):
            if self.retry_after is not None:
                headers["Retry-After"] = self.retry_after
            body = self.troubled.get(self.trouble, {"message": f"trouble {self.trouble}", "echo": asked.path})
            return self.trouble, headers, json.dumps(body).encode()
        status, body = self.answer(asked)
        return status, headers, body if isinstance(body, bytes) else json.dumps(body).encode()


@contextmanager
def counterparty(*, tls: Path | None = None) -> Iterator[Counterparty]:
    """Serve one; `tls` is a file with its key and certificate."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, parse_qs(parts.query), headers, body)
            status, said, answer = party.reply(asked)
            try:
                self.send_response(status)
                for name, value in {**said, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)
            except OSError:  # who asked has gone
                self.close_connection = True

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 (http.server's names)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    party = Counterparty(f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield party
    finally:
        party.ended.set()
        server.shutdown()
        server.server_close()


@dataclass
class MailServer:
    """A real SMTP server: keeps letters, or answers recipients with `code`; "never" answers nothing."""

    url: str
    letters: list[Any] = field(default_factory=list)
    trouble: int | str | None = None
    signed_in: list[str] = field(default_factory=list)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        if isinstance(self.trouble, int):
            return f"{self.trouble} trouble for you"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        if self.trouble == "never":
            import asyncio

            await asyncio.sleep(60)
        self.letters.append(envelope)
        return "250 Message accepted"


@contextmanager
def mail_server(
    *, password: str | None = None, tls: ssl.SSLContext | None = None, implicit: bool = False
) -> Iterator[MailServer]:
    """Serve one; with a password, user `orakul` signs in with it; with `tls`, after STARTTLS or from the start."""
    port = free_port()
    server = MailServer(f"smtp{'s' if implicit else ''}://127.0.0.1:{port}")

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        good = (
            isinstance(data, LoginPassword) and data.login == b"orakul" and data.password == (password or "").encode()
        )
        if good:
            server.signed_in.append("orakul")
        return AuthResult(success=good, handled=good)

    more: dict[str, Any] = (
        {"authenticator": authenticate, "auth_required": True, "auth_require_tls": tls is not None and not implicit}
        if password
        else {}
    )
    if tls is not None:
        more |= {"ssl_context": tls} if implicit else {"tls_context": tls, "require_starttls": True}
    controller = Controller(server, hostname="127.0.0.1", port=port, **more)
    controller.start()
    try:
        yield server
    finally:
        begun = time.monotonic()
        controller.stop(no_assert=True)
        assert time.monotonic() - begun < 60
