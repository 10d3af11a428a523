"""Callers of the service, run as a process of their own: requests prepared beforehand, over plain connections.

Reads one JSON command a line, `{"port", "head", "body", "callers", "seconds"}`, and answers
`{"times": [seconds of each request], "seconds": how long it took}`. Knows nothing of the package.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import time


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it was answered."""

    def __init__(self, request: bytes, until: float, times: list[float], done: asyncio.Future[None]) -> None:
        self._request, self._until, self._times, self._done = request, until, times, done
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, gap, rest = self._buffer.partition(b"\r\n\r\n")
        if not gap:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        now = time.perf_counter()
        self._times.append(now - self._started)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(self._buffer.decode())
        self._buffer = b""
        if now > self._until:
            self._transport.close()
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _ask(self) -> None:
        self._started = time.perf_counter()
        self._transport.write(self._request)


def _same(caller: Caller) -> Caller:
    return caller


async def run(command: dict[str, object]) -> dict[str, object]:
    """`callers` at once, each with a connection of its own, for `seconds`."""
    loop = asyncio.get_running_loop()
    body = str(command["body"]).encode()
    request = f"{command['head']}Content-Length: {len(body)}\r\n\r\n".encode() + body
    times: list[float] = []
    started = time.perf_counter()
    until = started + float(str(command["seconds"]))
    ended = [loop.create_future() for _ in range(int(str(command["callers"])))]
    for done in ended:
        caller = Caller(request, until, times, done)
        await loop.create_connection(functools.partial(_same, caller), "127.0.0.1", int(str(command["port"])))
    await asyncio.gather(*ended)
    return {"times": times, "seconds": time.perf_counter() - started}


def main() -> None:
    """Serve commands until standard input closes."""
    for line in sys.stdin:
        print(json.dumps(asyncio.run(run(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
