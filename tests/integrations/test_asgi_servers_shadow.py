"""On real servers: shadow changes no byte, large bodies stay out of memory, and an ending server loses nothing."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integrations.server_routes import CAP
from tests.integrations.servers import COMMANDS, NO_LIFESPAN, Server, message, parsed, serving

JSON = [("content-type", "application/json")]
_DATE = re.compile(rb"^date: [^\r]*\r\n", re.IGNORECASE | re.MULTILINE)


class Sent(NamedTuple):
    method: str
    target: str
    body: bytes = b""
    headers: list[tuple[str, str]] = []  # noqa: RUF012 - never changed


REQUESTS = (
    Sent("POST", "/refunds/o-1", b'{"amount": 50000}', JSON),
    Sent("POST", "/refunds/o-1", b'{"amount": ', JSON),
    Sent("POST", "/refunds/o-1", b'{"amount": 1, "x": "%s"}' % (b"y" * 100_000), JSON),
    Sent("POST", "/upload", b"z" * 500_000),
    Sent("GET", "/stream"),
    Sent("GET", "/file"),
    Sent("GET", "/file", headers=[("range", "bytes=10-99")]),
    Sent("GET", "/file", headers=[("range", "bytes=0-4,9000-9009")]),
    Sent("GET", "/file", headers=[("range", "bytes=99999999-")]),
    Sent("HEAD", "/file"),
    Sent("HEAD", "/stream"),
    Sent("GET", "/boom"),
    Sent("GET", "/background"),
    Sent("GET", "/inside/a/b"),
    Sent("GET", "/nope"),
    Sent("PUT", "/refunds/o-1"),
    Sent("OPTIONS", "/refunds/o-1"),
    Sent("POST", "/slashed"),
)
_BOUNDARY = re.compile(rb"\b[0-9a-f]{26}\b")
"""What Starlette makes up for an answer of several ranges."""


@pytest.mark.parametrize("variant", ["shadow", "denying", "raising", "hanging"])
def test_no_byte_of_an_answer_is_changed_in_shadow(server: Server, variant: str) -> None:
    def answer(sent: Sent, variant: str) -> bytes:
        whole = server.raw(sent.method, sent.target, variant, sent.body, sent.headers)
        return _BOUNDARY.sub(b"", _DATE.sub(b"", whole))

    for sent in REQUESTS:
        bare = answer(sent, "bare")
        assert bare.startswith(b"HTTP/1.1 ")
        assert answer(sent, variant) == bare, sent


def test_what_shadow_would_have_denied_is_recorded(server: Server) -> None:
    server.mark("denying")
    for sent in REQUESTS:
        server.raw(sent.method, sent.target, "denying", sent.body, sent.headers)
    would_have = [row.would_have for row in server.rows("denying")]
    assert would_have == ["deny"] * 14
    assert "after -" in server.ran("denying")


def _blocks() -> Iterator[bytes]:
    """20 MB, no two blocks alike."""
    return (number.to_bytes(4, "big") * 16_384 for number in range(320))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_large_body_arrives_whole_and_is_never_held_in_memory(server: Server, mode: str, chunked: bool) -> None:
    digest = hashlib.sha256()
    for block in _blocks():
        digest.update(block)
    length = ("transfer-encoding", "chunked") if chunked else ("content-length", str(320 * 65_536))

    def upload(variant: str) -> None:
        with server.connect() as connection:
            connection.sendall(message("PUT", "/upload", variant, headers=[length])
                               .replace(b"PUT", b"POST", 1).replace(b"content-length: 0\r\n", b""))  # fmt: skip
            for block in _blocks():
                connection.sendall(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
            connection.sendall(b"0\r\n\r\n" if chunked else b"")
            status, _, body = parsed(connection, "POST")
        assert status == 200
        assert json.loads(body) == {"sha256": digest.hexdigest(), "size": 320 * 65_536}

    def peak(variant: str) -> int:
        """Bytes by which the server's memory grew at most."""
        folder = Path("/proc") / str(server.control("/pid")["pid"])
        (folder / "clear_refs").write_text("5")
        before = _memory(folder, "VmRSS")
        upload(variant)
        return _memory(folder, "VmHWM") - before

    upload("bare")
    upload(mode)
    bare = min(peak("bare") for _ in range(2))
    # Allocators keep a few megabytes more or less from run to run; a body that is held would be 20.
    assert min(peak(mode) for _ in range(2)) < bare + 2 * CAP + 10 * 1_048_576


def _memory(folder: Path, name: str) -> int:
    (line,) = (line for line in (folder / "status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize(
    ("kind", "options"), [*((kind, ()) for kind in COMMANDS), *NO_LIFESPAN.items()], ids=lambda value: str(value)
)
def test_a_server_that_is_told_to_end_under_load_ends_and_has_stored_what_it_decided(
    kind: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    enough, numbers, answered = threading.Event(), itertools.count(), []

    def load(server: Server) -> None:
        while True:
            tag = f"n{next(numbers)}"
            try:
                status, _, _ = server.exchange("POST", "/counted", "enforce", headers=[("x-tag", tag)])
            except (OSError, http.client.HTTPException):
                return  # the server ends
            if status == 200:
                answered.append(tag)
            if len(answered) >= 100:
                enough.set()

    with serving(kind, tmp_path, "server_alone", options) as server, ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(load, server) for _ in range(8)]
        assert enough.wait(60)
        log = server.stop()
        for worker in workers:
            worker.result()
    stored: list[Any] = [json.loads(row.payload or "{}").get("x-tag") for row in server.stored("enforce")]
    ran = [line.split(" ")[2] for line in (tmp_path / "ran").read_text().splitlines()]
    assert set(answered) <= set(ran)
    assert set(ran) <= set(stored), log
