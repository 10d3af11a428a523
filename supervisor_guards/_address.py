"""The address of a service: what it may look like, and its parts."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import msgspec


class Address(msgspec.Struct, frozen=True):
    """A service's address. `prefix` is its path without the last slash."""

    tls: bool
    host: str
    port: int
    prefix: str = ""

    @property
    def authority(self) -> str:
        """Host and port as in a `Host` header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}"


def parsed(base_url: str) -> Address:
    """The parts of `base_url`. Raises `ValueError`, whose text never shows a password."""
    parts = urlsplit(base_url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or password, which would reach logs: remove it")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{base_url!r}: give an address such as https://supervisor.example")
    if parts.query or parts.fragment:
        raise ValueError(f"{base_url!r}: remove what follows the path")
    if any(not "!" <= character <= "~" for character in base_url):
        raise ValueError(f"{base_url!r}: write the name in ASCII (punycode), without spaces")
    tls = parts.scheme == "https"
    return Address(tls, parts.hostname, parts.port or (443 if tls else 80), parts.path.rstrip("/"))


def problems(name: str, base_url: str, allow_http: bool) -> list[str]:
    """What is wrong with the setting `name`, one sentence each."""
    try:
        address = parsed(base_url)
    except ValueError as error:
        return [f"{name} {error}"]
    if address.tls or allow_http or _is_loopback(address.host):
        return []
    clear = f"{name}={base_url!r} sends payloads and tokens in the clear"
    return [f"{clear}: use https, or set allow_http (SUPERVISOR_ALLOW_HTTP=1) where the network is your own"]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
