"""Forwarded headers, believed only of proxies that the settings name."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from orakul.errors import SettingsError

__all__ = ["ForwardedHeaders"]


class ForwardedHeaders:
    """Takes scheme, host, client and prefix from `X-Forwarded-*` where the peer is a trusted proxy."""

    def __init__(self, app: ASGIApp, *, trusted: Sequence[str]) -> None:
        self._app = app
        self._all = "*" in trusted
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in trusted:
            if entry != "*":
                try:
                    self._networks.append(ip_network(entry, strict=False))
                except ValueError as error:
                    raise SettingsError(f"trusted_proxies: {entry} is neither an address nor a network") from error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the scope where the peer is believed."""
        client = scope.get("client")
        if scope["type"] == "http" and self._trusts(client[0] if client else ""):
            scope = self._rewritten(scope)
        await self._app(scope, receive, send)

    def _trusts(self, address: str) -> bool:
        if self._all:
            return True
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self._networks)

    def _rewritten(self, scope: Scope) -> Scope:
        headers = Headers(scope=scope)
        found = dict(scope)
        scheme = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
        if scheme in {"http", "https"}:
            found["scheme"] = scheme
        chain = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
        # The nearest address that is not a proxy of ours: what stands before it may have been made up.
        client = next((part for part in reversed(chain) if self._all or not self._trusts(part)), None)
        if client is not None:
            found["client"] = (client, 0)
        host = headers.get("x-forwarded-host", "").split(",")[0].strip()
        if host:
            found["headers"] = [pair for pair in scope["headers"] if pair[0] != b"host"]
            found["headers"].append((b"host", host.encode("latin-1")))
        prefix = headers.get("x-forwarded-prefix", "").split(",")[0].strip().rstrip("/")
        if prefix.startswith("/") and "//" not in prefix:
            _place_below(found, prefix)
        return found


def _place_below(scope: Scope, prefix: str) -> None:
    """Say in the scope that all is below a prefix, also where we are mounted under a path of another application."""
    if "app_root_path" not in scope:
        scope["root_path"] = prefix
    elif not scope["app_root_path"]:  # else the application around us knows of the prefix itself
        scope["root_path"] = prefix + scope["root_path"]
        scope["path"] = prefix + scope["path"]
