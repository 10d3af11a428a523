"""A server on loopback that answers each evaluation with the same allow, at once or after a delay.

Run as a script in a process of its own: `loopback_server.py DELAY_MS`. It prints its port and serves until its
standard input closes. It does as little as HTTP/1.1 allows, so that what is measured is the client. A client that asks
for capabilities may send batches, each of whose items is answered.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

_ANSWER = json.dumps(
    {
        "action_id": "6f1d1a9e-5d0c-4b53-9d0b-0a4d5f6b7c8d",
        "decision": "allow",
        "reasons": [],
        "risk_score": 0,
        "policy_version": "refund.base@v1",
        "threat_level": "none",
        "threats": [],
        "shadow_would_have": "allow",
    }
).encode()


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


_RESPONSE = _response(_ANSWER)
_CAPABLE = _response(b'{"capabilities": ["batch", "result", "results"]}')
_TAKEN = _response(b"{}")
_ID = re.compile(rb'"id":"([^"]{32,40})"')
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)


class Answering(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head := self._received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._received, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._received) < end:
                return
            response = self._response(bytes(self._received[:end]), head + 4)
            del self._received[:end]
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer, response)
            else:
                self._answer(response)

    def _response(self, request: bytes, body: int) -> bytes:
        target = request[: request.index(b"\r")].split(b" ")[1]
        if target.endswith(b"/batch"):
            items = [b'{"id":"%b",%b' % (one, _ANSWER[1:]) for one in _ID.findall(request, body)]
            return _response(b'{"items":[%b]}' % b",".join(items))
        if target.endswith(b"/capabilities"):
            return _CAPABLE
        return _TAKEN if target.endswith((b"/results", b"/result")) else _RESPONSE

    def _answer(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)


async def serve(delay: float) -> None:
    """Serve on a free port until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000))
