"""One request to a receiver: to an address that was checked, within a deadline, whatever the receiver does."""

from __future__ import annotations

import socket
import ssl
import typing
from collections.abc import Callable, Mapping, Sequence

import anyio
import anyio.to_thread
import httpcore
import msgspec

from supervisor_guards.embedded.rows import clean_text
from supervisor_guards.remote.sockets import tls_context
from supervisor_guards.service.webhooks import addresses
from supervisor_guards.service.webhooks.addresses import AddressRefused, Target

__all__ = ["Answer", "Resolve", "Sender", "resolve"]

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, for a port. Raises `OSError`."""

MAX_ANSWER = 2_000
"""Bytes that are read of an answer, for people to see."""
_ANSWER_SECONDS = 2.0
"""How long is waited for them: the status has said everything."""
_TRIED = 4
"""Addresses of one host that are tried."""
_LOOKUPS = 64


class Answer(msgspec.Struct, frozen=True):
    """What came of a try: `status` of the receiver, None where it didn't answer; `text` for people."""

    status: int | None
    text: str

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300

    def __str__(self) -> str:
        if self.status is None:
            return self.text
        if 300 <= self.status < 400:
            return f"{self.status}: redirects aren't followed"
        return f"{self.status}: {self.text}" if self.text else str(self.status)


def resolve(host: str, port: int) -> list[str]:
    """The addresses of `host` as the system knows them. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _authorities() -> ssl.SSLContext:
    """Who may vouch for a receiver: the authorities of certifi. Never the environment's."""
    return tls_context(None)


class Sender:
    """Sends webhooks. `private` allows any address; each request has `timeout_seconds`, its look-up included.

    No proxy or certificate of the environment is used, and no redirect followed.
    """

    def __init__(
        self,
        private: bool,
        timeout_seconds: float,
        *,
        resolve: Resolve = resolve,
        tls: Callable[[], ssl.SSLContext] = _authorities,
    ) -> None:
        self._private = private
        self.timeout = timeout_seconds
        self._resolve = resolve
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._lookups: anyio.CapacityLimiter | None = None

    async def check(self, url: str) -> None:
        """Raises `AddressRefused` for where no webhook may go, as far as can be seen now: each try looks again."""
        target = addresses.parsed(url, self._private)
        with anyio.move_on_after(self.timeout):
            try:
                await self._addresses(target)
            except OSError:
                return  # a name that isn't known yet

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST `body`. Never raises for what the receiver, its name or the network does."""
        try:
            with anyio.fail_after(self.timeout):
                target = addresses.parsed(url, self._private)
                return await self._post(target, await self._addresses(target), headers, body)
        except TimeoutError:
            return Answer(None, f"no answer within {self.timeout:g} s")
        except AddressRefused as error:
            return Answer(None, f"not sent: {error}")
        except (OSError, UnicodeError) as error:
            return Answer(None, f"can't find or reach the host: {_readable(str(error))}")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            return Answer(None, f"{type(error).__name__}: {_readable(str(error))}")

    async def _addresses(self, target: Target) -> list[str]:
        """The addresses to connect to, looked up once and checked. Raises `OSError`, `AddressRefused`."""
        if self._lookups is None:
            self._lookups = anyio.CapacityLimiter(_LOOKUPS)
        found = await anyio.to_thread.run_sync(
            self._resolve, target.host, target.port, limiter=self._lookups, abandon_on_cancel=True
        )
        if not found:
            raise OSError(f"{target.host} has no address")
        if not self._private:
            addresses.check(target.host, list(found))
        return list(found)[:_TRIED]

    async def _post(self, target: Target, found: list[str], headers: Mapping[str, str], body: bytes) -> Answer:
        url = httpcore.URL(
            scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
        )
        sent = {"Host": target.authority, "Content-Type": "application/json", "User-Agent": "supervisor-guards"}
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._context() if target.scheme == "https" else None,
            network_backend=_Pinned(found, self.timeout / len(found)),
            max_connections=1,
        )
        async with pool, pool.stream("POST", url, headers=list({**sent, **headers}.items()), content=body) as answer:
            excerpt = b""
            with anyio.move_on_after(_ANSWER_SECONDS):
                async for part in answer.aiter_stream():
                    excerpt += part[: MAX_ANSWER - len(excerpt)]
                    if len(excerpt) == MAX_ANSWER:
                        break
            return Answer(answer.status, _readable(excerpt.decode("utf-8", "replace")))

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self._make_tls()
        return self._tls


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to `found`, one after another, whatever host it is asked for: TLS goes on to check the name."""

    def __init__(self, found: Sequence[str], timeout: float) -> None:
        self._found = found
        self._timeout = timeout
        self._backend = typing.cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: typing.Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = self._found
        for address in others:
            try:
                return await self._backend.connect_tcp(address, port, self._timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(last, port, self._timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def _readable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in clean_text(text)).strip()
