"""Services that are gone, slow or wrong: `FAULTS`, one table to parametrise a test over.

    @pytest.mark.parametrize("fault", FAULTS)
    def test_one(fault: str) -> None:
        with FAULTS[fault]() as peer:
            supervisor = RemoteSupervisor(peer.base_url, ...)

`capabilities` says how the question for capabilities is answered, so that the fault is met where it is meant:
`plain` (404, as a version 1 service does), `ours` (all there are: batches meet the fault), `faulty` (by the fault
itself). What fails before HTTP begins fails the same for each.
"""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import trustme

from tests.remote.peers.ours import OurService
from tests.remote.peers.plain import PlainService
from tests.remote.peers.ruling import Asked, Ruling
from tests.remote.peers.sockets import Line, Reply, Request, Script, Server, reserved_port

Capabilities: TypeAlias = Literal["plain", "ours", "faulty"]
DRIP_SECONDS = 0.05
"""Between two bytes of a slow answer. A second, in the field; what counts is that each read succeeds in time."""
GIGABYTE = 1 << 30
_BLOCK = b"x" * (1 << 16)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_BEGUN = b'{"action_id": "'
"""How an answer begins: what reads it must not need its end to stop."""


@dataclass
class Faulty:
    """A fault's address, and its server where it has one (what it received, what it sent)."""

    base_url: str
    server: Server | None = None
    ca: str | None = None
    """PEM of the authority that a client has to trust to meet this fault and no other."""


Fault: TypeAlias = Callable[..., AbstractContextManager[Faulty]]


@dataclass(frozen=True)
class _Shape:
    """Values of the decision, each wrong in its own way."""

    changes: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def __call__(self, request: Request) -> Reply:
        good = {
            "action_id": "6f1d1a9e-5d0c-4b53-9d0b-0a4d5f6b7c8d",
            "decision": "allow",
            "reasons": [],
            "risk_score": 0,
            "policy_version": "refund.base@v1",
            "threat_level": "none",
            "threats": [],
            "shadow_would_have": None,
            "would_have": {"decision": "allow", "reasons": [], "rule_ids": []},
        }
        batch = request.path.endswith("/batch")
        body = request.json() if request.body else {}
        answers = [{**good, "id": item.get("id"), **self.changes} for item in (body["items"] if batch else [body])]
        for answer in answers:
            for name in self.without:
                del answer[name]
        return Reply.of({"items": answers} if batch else answers[0])


def _always(status: int, body: bytes = b'{"detail": "out of order"}', **headers: str) -> Callable[[Request], Reply]:
    names = {name.replace("_", "-"): text for name, text in {"content_type": "application/json", **headers}.items()}
    return lambda request: Reply(status, body, names)


def _written(script: Script) -> Callable[[Request], Script]:
    return lambda request: script


def _never(line: Line) -> None:
    line.pause()


def _drip(line: Line) -> None:
    """A right answer, one byte at a time: no read ever waits long, and the whole never comes."""
    answer = _HEAD + b"content-length: 200\r\n\r\n" + _BEGUN
    for at in range(len(answer) + 200):
        line.send(answer[at : at + 1] or b" ")
        if line.pause(DRIP_SECONDS):
            return


def _reset(line: Line) -> None:
    line.reset()


def _reset_inside(line: Line) -> None:
    line.send(_HEAD + b"content-length: 200\r\n\r\n" + _BEGUN)
    line.reset()


def _hang_up(line: Line) -> None:
    """End the connection without a byte."""


def _hang_up_inside(line: Line) -> None:
    line.send(_HEAD + b"content-length: 200\r\n\r\n" + _BEGUN)


def _no_http(line: Line) -> None:
    line.send(b"SSH-2.0-OpenSSH_9.6\r\n")


def _huge(line: Line) -> None:
    line.send(_HEAD + b"content-length: %d\r\n\r\n" % GIGABYTE + _BEGUN)
    while line.sent < GIGABYTE:
        line.send(_BLOCK)


def _huge_chunked(line: Line) -> None:
    line.send(_HEAD + b"transfer-encoding: chunked\r\n\r\n")
    while line.sent < GIGABYTE:
        line.send(b"%x\r\n%b\r\n" % (len(_BLOCK), _BLOCK))


def _huge_until_close(line: Line) -> None:
    line.send(_HEAD + b"connection: close\r\n\r\n" + _BEGUN)
    while line.sent < GIGABYTE:
        line.send(_BLOCK)


def _huge_gzip(line: Line) -> None:
    """About a megabyte that unpacks to a gigabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(b"x" * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b"x" * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # the same bytes each time
    line.send(_HEAD + b"content-encoding: gzip\r\nconnection: close\r\n\r\n" + start)
    for _ in range(1023):
        line.send(again)


def _endless_headers(line: Line) -> None:
    line.send(_HEAD)
    while line.sent < GIGABYTE:
        line.send(b"x-more: %b\r\n" % (b"x" * 8000))


@contextlib.contextmanager
def _answering(fault: Callable[[Request], Reply | Script], capabilities: Capabilities = "plain") -> Iterator[Faulty]:
    """A service in whose place `fault` answers."""

    class Everywhere(PlainService):
        def faulty(self, request: Request) -> bool:
            return True

    service = {"plain": PlainService, "ours": OurService, "faulty": Everywhere}[capabilities]()
    service.fault = fault
    with service:
        yield Faulty(service.base_url, service)


@contextlib.contextmanager
def _redirect(capabilities: Capabilities = "plain") -> Iterator[Faulty]:
    """To a service that would allow: following it is the mistake."""
    with OurService() as elsewhere:
        fault = lambda request: Reply(307, b"", {"location": f"{elsewhere.base_url}{request.target}"})  # noqa: E731
        with _answering(fault, capabilities) as faulty:
            yield faulty
        assert not elsewhere.requests, "the redirect was followed, with the token"


@contextlib.contextmanager
def _other_id(capabilities: Capabilities = "ours") -> Iterator[Faulty]:
    """Good answers, to somebody else's question. Only ours answers an id, so it is always ours."""

    class Confused(OurService):
        def store(self, question: Asked, ruling: Ruling) -> dict[str, Any]:
            return {**super().store(question, ruling), "id": "another", "action_id": "another"}

    with Confused() as service:
        yield Faulty(service.base_url, service)


@contextlib.contextmanager
def _refused(capabilities: Capabilities = "plain") -> Iterator[Faulty]:
    place, port = reserved_port()
    with place:
        yield Faulty(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def _no_such_name(capabilities: Capabilities = "plain") -> Iterator[Faulty]:
    yield Faulty("https://supervisor.invalid")  # a name that never exists (RFC 6761)


@contextlib.contextmanager
def _connect_hangs(capabilities: Capabilities = "plain") -> Iterator[Faulty]:
    """A listener whose queue is full: the system leaves further connections without an answer."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield Faulty(f"http://127.0.0.1:{listener.getsockname()[1]}")


@contextlib.contextmanager
def _tls(
    capabilities: Capabilities = "plain", *, name: str = "127.0.0.1", expired: bool = False, trusted: bool = True
) -> Iterator[Faulty]:
    """A service that would allow, behind a certificate that doesn't prove who it is."""
    authority = trustme.CA()
    today = datetime.datetime.now(datetime.timezone.utc)
    begun = today - datetime.timedelta(days=30)
    until = today - datetime.timedelta(days=1) if expired else today + datetime.timedelta(days=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=begun, not_after=until).configure_cert(context)
    with OurService(tls=context) as service:
        yield Faulty(service.base_url, service, authority.cert_pem.bytes().decode() if trusted else None)
        assert not service.requests, "a service that could be anybody got a request"


@contextlib.contextmanager
def _no_tls(capabilities: Capabilities = "plain") -> Iterator[Faulty]:
    """Plain HTTP where TLS is expected."""
    with OurService() as service:
        yield Faulty(service.base_url.replace("http:", "https:"), service)


_HTML = b"<!doctype html><title>Sign in</title><p>Sign in to the corporate network."
ANSWERS: dict[str, Callable[[Request], Reply | Script]] = {
    "never answers": _written(_never),
    "one byte a second": _written(_drip),
    "500": _always(500),
    "502": _always(502, _HTML, content_type="text/html"),
    "503": _always(503, b"", retry_after="1"),
    "401": _always(401, b'{"detail": "integration not found or revoked"}'),
    "403": _always(403, b'{"detail": "scope \'refund\' not granted"}'),
    "429": _always(429, b'{"detail": "too many requests"}', retry_after="7"),
    "204": _always(204, b""),
    "garbage": _always(200, b"\x00\xff\xfe garbage \x80"),
    "html": _always(200, _HTML, content_type="text/html"),
    "empty": _always(200, b""),
    "null": _always(200, b"null"),
    "list": _always(200, b'[{"decision": "allow"}]'),
    "cut off": _always(200, b'{"action_id": "1", "decision": "allow", "reasons": ['),
    "error as 200": _always(200, b'{"detail": "internal error"}'),
    "no decision": _Shape(without=("decision",)),
    "decision is a number": _Shape({"decision": 1}),
    "decision is null": _Shape({"decision": None}),
    "reasons are numbers": _Shape({"reasons": 5}),
    "unknown decision": _Shape({"decision": "Allow"}),
    "another unknown decision": _Shape({"decision": "escalate"}),
    "reset": _written(_reset),
    "reset inside": _written(_reset_inside),
    "hang up": _written(_hang_up),
    "hang up inside": _written(_hang_up_inside),
    "no http": _written(_no_http),
    "1 GB": _written(_huge),
    "1 GB chunked": _written(_huge_chunked),
    "1 GB until close": _written(_huge_until_close),
    "1 GB gzip": _written(_huge_gzip),
    "endless headers": _written(_endless_headers),
}
"""What is wrong with an answer -> the answer: for the `fault` of a service that is to get well again."""

FAULTS: dict[str, Fault] = {
    "refused": _refused,
    "no such name": _no_such_name,
    "connect hangs": _connect_hangs,
    **{name: partial(_answering, answer) for name, answer in ANSWERS.items()},
    "redirect": _redirect,
    "other id": _other_id,
    "tls untrusted": partial(_tls, trusted=False),
    "tls expired": partial(_tls, expired=True),
    "tls other host": partial(_tls, name="other.example"),
    "no tls": _no_tls,
}
"""What is wrong -> a context manager that gives the `Faulty` peer; takes `capabilities`."""
