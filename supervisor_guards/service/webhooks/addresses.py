"""Where webhooks may go: addresses of the public internet, over HTTPS, unless a setting allows others. No I/O."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import msgspec

__all__ = ["AddressRefused", "Target", "is_public", "parsed"]

MAX_URL = 2_000
PORTS = (443, 8443)
"""Of other hosts; a webhook can't be used to knock at their mail server or database."""
_ALLOW = "set webhook_private (SUPERVISOR_WEBHOOK_PRIVATE=1) where receivers are in your own network"

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_TEREDO = ipaddress.IPv6Network("2001::/32")  # RFC 4380
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")  # RFC 9637, which older Pythons don't know
_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291: all that is assigned globally
_INNER = (
    ipaddress.IPv4Network("192.88.99.0/24"),  # RFC 7526: deprecated relays of 6to4
    ipaddress.IPv4Network("192.0.0.0/24"),  # RFC 6890: protocols' own, in older Pythons in part; a cloud's metadata
    ipaddress.IPv4Network("168.63.129.16/32"),  # a cloud's own service for its virtual machines, in public clothes
)


class AddressRefused(ValueError):
    """A webhook may not go there."""


class Target(msgspec.Struct, frozen=True):
    """The parts of a webhook's URL. `host` is without brackets, `path` with the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as in a `Host` header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


def parsed(url: str, private: bool) -> Target:
    """The parts of `url`. Raises `AddressRefused`; `private` allows http, any port and any address."""
    if len(url) > MAX_URL or any(not "!" <= character <= "~" for character in url):
        raise AddressRefused(f"give at most {MAX_URL} characters of ASCII (names in punycode), without spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"not a URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("holds a user or password, which would reach logs: remove it")
    if parts.scheme not in ("http", "https") or not parts.hostname or "\\" in url:
        raise AddressRefused("give an address such as https://receiver.example/hooks")
    if parts.fragment:
        raise AddressRefused("remove what follows the `#`")
    if not private:
        if parts.scheme != "https":
            raise AddressRefused(f"sends decisions in the clear: use https, or {_ALLOW}")
        if (port or 443) not in PORTS:
            raise AddressRefused(f"port {port}: use {' or '.join(map(str, PORTS))}, or {_ALLOW}")
    if port == 0:
        raise AddressRefused("port 0: nothing can listen there")
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    target = Target(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), path)
    if not private:
        _check_literal(target.host)
    return target


def check(host: str, addresses: list[str]) -> None:
    """Raises `AddressRefused` where one of the `addresses` that `host` has isn't public."""
    for address in addresses:
        if not is_public(address):
            raise AddressRefused(f"{host} has the address {address}, which isn't public: {_ALLOW}")


def is_public(address: str) -> bool:
    """Whether `address` belongs to the public internet, also when it wraps an IPv4 address (mapped, NAT64, 6to4)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # no address, or one with a zone, which is a link's
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)))
        if found.sixtofour is not None:
            return is_public(str(found.sixtofour))
        if found in _TEREDO or found in _DOCUMENTATION or found not in _UNICAST:
            return False
    elif any(found in network for network in _INNER):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def _check_literal(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host.endswith(("localhost", "localhost.")):  # RFC 6761
            raise AddressRefused(f"{host} is this machine: {_ALLOW}") from None
        return
    check(host, [host])
