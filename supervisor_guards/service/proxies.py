"""What a proxy in front of the service says of a request, believed only from the addresses in the settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["BelieveProxies", "Proxies", "identity"]

_PLACE = "supervisor_guards.identity"
"""Where a scope has the names that a trusted proxy gave."""
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """The trusted proxies: `networks` they call from, and the header in which they name the person, if they do."""

    def __init__(self, networks: Sequence[str], header: str | None) -> None:
        self._networks = [ipaddress.ip_network(one, strict=False) for one in networks]
        self._header = None if header is None else header.lower().encode("latin-1")

    @property
    def names_people(self) -> bool:
        """Whether anybody can come by a proxy's word."""
        return bool(self._networks and self._header)

    def believe(self, scope: Scope) -> None:
        """Take the identity header out of the request's headers; what a trusted proxy sent is remembered."""
        names = [value for name, value in scope["headers"] if name == self._header]
        if not names:
            return
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != self._header]
        if self.trusts(_peer(scope)):
            scope[_PLACE] = tuple(name.decode("utf-8", "replace").strip() for name in names)

    def trusts(self, address: str | None) -> bool:
        """Whether a request from `address` came through a trusted proxy."""
        parsed = _parsed(address)
        return parsed is not None and any(
            parsed in network for network in self._networks if network.version == parsed.version
        )

    def address(self, scope: Scope) -> str:
        """Where the request comes from: the peer, or whom the trusted proxies in between name (X-Forwarded-For).

        The network of an IPv6 address (/64), which belongs to one caller; "" where nobody knows.
        """
        found = _peer(scope)
        if self.trusts(found):
            said = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
            for one in reversed(",".join(said).split(",")):
                if _parsed(one.strip()) is None:
                    break
                found = one.strip()
                if not self.trusts(found):
                    break
        parsed = _parsed(found)
        if isinstance(parsed, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((parsed, 64), strict=False))
        return str(parsed or "")


class BelieveProxies:
    """Middleware: from here on no request has an identity header, whoever sent it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the request before anything else does."""
        if scope["type"] in ("http", "websocket"):
            scope["app"].state.service.proxies.believe(scope)
        await self._app(scope, receive, send)


def identity(scope: Scope) -> tuple[str, ...]:
    """The names in the identity header of a trusted proxy: one, where it is as it should be."""
    names: tuple[str, ...] = scope.get(_PLACE, ())
    return names


def _peer(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _parsed(address: str | None) -> _Address | None:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
