"""Lines: single connections to the service, which hold one deadline over everything an exchange does.

httpx's timeouts hold for each operation on the socket, so a server that sends a byte a second is never late. Lines are
therefore made of what httpx's transports are made of, httpcore's connections, over a network backend that knows the
deadline; a caller pays for a round trip and nothing else. No redirects, no proxies, no environment.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import anyio
import httpcore

from supervisor_guards._address import Address
from supervisor_guards.remote.faults import Fault, Kind
from supervisor_guards.remote.requests import Answer, Reader, Request

_SHORTEST = 0.001
"""Seconds; a timeout of 0 would mean not to wait at all."""


class Line:
    """One connection for sync callers, one request at a time; it is made again whenever it ended."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self._url = _url(address)
        self._tls = tls
        self._backend = _Backend()
        self._connection: httpcore.HTTPConnection | None = None

    def exchange(self, request: Request, deadline: float, reader: Reader) -> Answer:
        """Send `request` and feed the answer to `reader`, all of it by `deadline`. Raises `Fault`."""
        connection = self._ready()
        self._backend.deadline = deadline
        self._backend.sent = False
        whole = False
        taking = _Taking(reader)
        try:
            response = connection.handle_request(_request(self._url, request))
            try:
                for piece in response.iter_stream():
                    if taking.enough(piece):
                        break
                    self._backend.left(httpcore.ReadTimeout)
                else:
                    whole = True
            finally:
                response.close()
            whole = whole and _is_exact(connection)
            return taking.answer(response)
        except _ERRORS as error:
            fault = _fault(error, self._backend.sent)
        finally:
            if not whole:
                self.close()
        # Raised here, so that what is chained to it is not the library's frames, which hold the token.
        raise fault

    def _ready(self) -> httpcore.HTTPConnection:
        connection = self._connection
        if connection is None or connection.has_expired() or not connection.is_available():
            self.close()
            connection = self._connection = httpcore.HTTPConnection(
                self._url.origin, self._tls, network_backend=self._backend
            )
        return connection

    def close(self) -> None:
        """Close the connection; idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def forget(self) -> None:
        """In a forked child: close its copy of the socket, and say nothing on the connection, which is the parent's."""
        self._connection = None
        self._backend.forget()


class AsyncLine:
    """One connection for the tasks of one event loop."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self._url = _url(address)
        self._tls = tls
        self._connection: httpcore.AsyncHTTPConnection | None = None

    async def exchange(self, request: Request, deadline: float, reader: Reader) -> Answer:
        """`Line.exchange`; cancellation ends the connection."""
        connection = await self._ready()
        whole = False
        taking = _Taking(reader)
        try:
            with anyio.fail_after(max(_SHORTEST, deadline - time.monotonic())):
                response = await connection.handle_async_request(_request(self._url, request))
                try:
                    async for piece in response.aiter_stream():
                        if taking.enough(piece):
                            # Generators in generators, which nothing but their end closes: end them from below.
                            await self.aclose()
                except _ERRORS:
                    if not taking.over:
                        raise
                whole = not taking.over
                await response.aclose()
            whole = whole and _is_exact(connection)
            return taking.answer(response)
        except (*_ERRORS, TimeoutError) as error:
            fault = _fault(error, connection.info() != "CONNECTION FAILED")
        finally:
            if not whole:
                await self.aclose()
        raise fault

    async def _ready(self) -> httpcore.AsyncHTTPConnection:
        connection = self._connection
        if connection is None or connection.has_expired() or not connection.is_available():
            await self.aclose()
            connection = self._connection = httpcore.AsyncHTTPConnection(self._url.origin, self._tls)
        return connection

    async def aclose(self) -> None:
        """Close the connection; idempotent, and done even where the task is cancelled."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with anyio.CancelScope(shield=True):
                await connection.aclose()


class _Backend(httpcore.NetworkBackend):
    """Opens the connection of one line, within its deadline (seconds, monotonic)."""

    def __init__(self) -> None:
        self.deadline = 0.0
        self.sent = False
        self._stream: _Stream | None = None

    def left(self, error: type[Exception]) -> float:
        """Seconds that are left. Raises `error` when none are."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise error("the time was over")
        return max(left, _SHORTEST)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers."""
        error: Exception = httpcore.ConnectError(f"{host} has no address")
        for place in _resolved(host, port, self.left(httpcore.ConnectTimeout)):
            try:
                stream = httpcore.SyncBackend().connect_tcp(place, port, self.left(httpcore.ConnectTimeout))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
            else:
                self._stream = _Stream(stream, self)
                return self._stream
        raise error

    def forget(self) -> None:
        """Close this process's copy of the socket."""
        if self._stream is not None:
            self._stream.close()


class _Stream(httpcore.NetworkStream):
    """A socket that counts down. What is written waits for the first read, so head and body leave together."""

    def __init__(self, stream: httpcore.NetworkStream, backend: _Backend) -> None:
        self._stream = stream
        self._backend = backend
        self._unsent: list[bytes] = []

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what waits, then read."""
        if self._unsent:
            unsent, self._unsent = b"".join(self._unsent), []
            self._backend.sent = True
            # Not its own error: a server may answer and close before it has read everything.
            with contextlib.suppress(httpcore.WriteError):
                self._stream.write(unsent, self._backend.left(httpcore.WriteTimeout))
        return self._stream.read(max_bytes, self._backend.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Keep `buffer` for the next read."""
        self._unsent.append(buffer)

    def close(self) -> None:
        """Close the socket."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Begin TLS, within the deadline."""
        left = self._backend.left(httpcore.ConnectTimeout)
        self._backend._stream = _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._backend)
        return self._backend._stream

    def get_extra_info(self, info: str) -> Any:
        """What the socket says."""
        return self._stream.get_extra_info(info)


def _resolved(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of `host`. A resolver takes no timeout, so it is asked on a thread that may be left behind."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    found: list[str] = []
    errors: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            errors.append(error)

    asking = threading.Thread(target=ask, name="supervisor-guards-resolver", daemon=True)
    asking.start()
    asking.join(seconds)
    if asking.is_alive():
        raise httpcore.ConnectTimeout(f"{host} was not resolved in time")
    if errors:
        raise httpcore.ConnectError(f"{host} was not found: {errors[0]}")
    return found


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Who may vouch for the service: the authorities of `ca_file`, else those of certifi. Never the environment's."""
    import certifi

    return ssl.create_default_context(cafile=ca_file or certifi.where())


def _url(address: Address) -> httpcore.URL:
    scheme = b"https" if address.tls else b"http"
    return httpcore.URL(scheme=scheme, host=address.host.encode("ascii"), port=address.port, target=b"/")


def _request(url: httpcore.URL, request: Request) -> httpcore.Request:
    target = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=request.target)
    return httpcore.Request(request.method, target, headers=list(request.headers), content=request.body)


_surplus = attrgetter("_connection._h11_state.trailing_data")


def _is_exact(connection: Any) -> bool:
    """Whether nothing came beyond the answer: it would be taken for the answer to the next question.

    httpcore keeps such bytes, and says nothing of them. Where its inside has changed, no connection is used twice.
    """
    try:
        return not _surplus(connection)[0]
    except AttributeError:
        return False


class _Taking:
    """Feeds a reader until it has enough."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._fault: Fault | None = None
        self.over = False

    def enough(self, piece: bytes) -> bool:
        """Take `piece`; whether no more is wanted."""
        if not self.over:
            try:
                self.over = self._reader.feed(piece)
            except Fault as fault:
                self.over, self._fault = True, fault
        return self.over

    def answer(self, response: httpcore.Response) -> Answer:
        """The answer whose body was taken. Raises the reader's `Fault`."""
        if self._fault is not None:
            raise self._fault
        told = {name.lower(): value.decode("latin-1") for name, value in reversed(response.headers)}
        return Answer(response.status, told.get(b"retry-after"), told.get(b"link"))


_ERRORS = (
    httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ConnectionNotAvailable, OSError,
)  # fmt: skip


def _fault(error: Exception, sent: bool) -> Fault:
    text = str(error).strip()[:200]
    kind: Kind = "broken" if sent else "unreached"
    if isinstance(error, httpcore.ConnectTimeout) or (isinstance(error, TimeoutError) and not sent):
        return Fault("late", "could not be reached in time")
    if isinstance(error, (httpcore.TimeoutException, TimeoutError)):
        return Fault("late", "did not answer in time")
    if isinstance(error, httpcore.ConnectError):
        return Fault("unreached", f"could not be reached ({text})")
    if isinstance(error, httpcore.RemoteProtocolError):
        return Fault(kind, f"did not answer in HTTP, or not to the end ({text})")
    return Fault(kind, f"ended the connection ({text or type(error).__name__})")
