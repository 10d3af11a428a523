"""The ASGI middleware: what it adds to unguarded and guarded routes in process, and throughput through uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import workload
from benchmarks.asgi_apps import RULES, SIDES, make
from benchmarks.figures import Figure, added, median, written
from benchmarks.scale import Scale

_ROOT = Path(__file__).parent.parent
_BODY = json.dumps(workload.FIELDS).encode()
_CLIENTS = 4
_ROUTES = (1, 50, 500)


def figures(scale: Scale) -> Iterator[Figure]:
    """The rows of the ASGI adapter."""
    with tempfile.TemporaryDirectory(prefix="supervisor-benchmark-") as name:
        folder = Path(name)
        for routes in _ROUTES:
            yield from _unguarded(scale, folder / str(routes), routes)
        yield from _guarded(scale, folder / "guarded")
        yield from _throughput(scale, folder / "served")


def _unguarded(scale: Scale, folder: Path, routes: int) -> Iterator[Figure]:
    """`/free`, the last of `routes` routes, beside a rule for another one."""
    sides = ("bare", "empty", "enforce")
    times, matching = _rounds(scale, folder, sides, routes, _free_scope())
    own = median(matching) / 1_000
    plural = "route" if routes == 1 else "routes"
    yield Figure(f"the router's own match, {routes} {plural}", "us", own)
    yield Figure(
        f"empty BaseHTTPMiddleware, added, {routes} {plural}", "us", added(times["empty"], times["bare"]) / 1e3
    )
    guarded = times["enforce"], times["bare"]
    yield Figure(
        f"unguarded route, added, {routes} {plural}",
        "us",
        added(*guarded) / 1e3,
        added(*guarded, 99) / 1e3,
        goal=own + 1,
        note=_p95(*guarded),
    )


def _guarded(scale: Scale, folder: Path) -> Iterator[Figure]:
    times, _ = _rounds(scale, folder, SIDES, 1, _refund_scope())
    yield Figure(
        "empty BaseHTTPMiddleware, added, a route with a body", "us", added(times["empty"], times["bare"]) / 1e3
    )
    for mode in ("shadow", "enforce"):
        both = times[mode], times["bare"]
        yield Figure(
            f"guarded route, {mode}, embedded, {RULES} rules, added",
            "us",
            added(*both) / 1e3,
            added(*both, 99) / 1e3,
            note=_p95(*both),
        )


def _p95(guarded: list[list[int]], bare: list[list[int]]) -> str:
    return f"p95 {written(added(guarded, bare, 95) / 1e3, 'us')}"


def _rounds(
    scale: Scale, folder: Path, sides: tuple[str, ...], routes: int, scope: dict[str, Any]
) -> tuple[dict[str, list[list[int]]], list[float]]:
    """Nanoseconds of each call, by side and round, all sides in each round; and of the router's match, by round."""
    made = {side: make(side, folder / side, routes) for side in sides}
    calls = max(50, min(scale.burst // 10, 50_000 // routes))
    times: dict[str, list[list[int]]] = {side: [] for side in sides}
    matching: list[float] = []
    with contextlib.ExitStack() as stack, asyncio.Runner() if sys.version_info >= (3, 11) else _Runner() as runner:
        for _, guard in made.values():
            if guard is not None:
                stack.callback(guard.close)
        for app, _ in made.values():
            runner.run(_timed(app, scope, 50))
        for _ in scale.in_time(0.5):
            for side, (app, guard) in made.items():
                times[side].append(runner.run(_timed(app, scope, calls)))
                if guard is not None:
                    workload.store_all(guard)
            matching.append(median(_matched(made["bare"][0], scope, calls)))
    return times, matching


class _Runner:
    """`asyncio.Runner`, which Python 3.10 lacks."""

    def __enter__(self) -> _Runner:
        self._loop = asyncio.new_event_loop()
        return self

    def run(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(coroutine)

    def __exit__(self, *_: object) -> None:
        self._loop.close()


async def _timed(app: Any, scope: dict[str, Any], calls: int) -> list[int]:
    clock, times = time.perf_counter_ns, []
    body = {"type": "http.request", "body": _BODY if scope["method"] == "POST" else b"", "more_body": False}

    async def receive() -> Any:
        return body

    async def send(message: Any) -> None:
        pass

    for _ in range(calls):
        request = dict(scope)
        started = clock()
        await app(request, receive, send)
        times.append(clock() - started)
    return times


def _matched(app: Any, scope: dict[str, Any], calls: int) -> list[int]:
    from starlette.routing import Match

    clock, times, routes = time.perf_counter_ns, [], app.router.routes
    for _ in range(calls):
        request = dict(scope)
        started = clock()
        for route in routes:
            if route.matches(request)[0] is Match.FULL:
                break
        times.append(clock() - started)
    return times


def _throughput(scale: Scale, folder: Path) -> Iterator[Figure]:
    """Requests a second through uvicorn, clients and server on one machine."""
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    with contextlib.ExitStack() as stack:
        ports = {side: stack.enter_context(_uvicorn(side, folder / side)) for side in SIDES}
        for port in ports.values():
            _load(port, 0.2)
        for _ in scale.in_time():
            for side, port in ports.items():
                rates[side].append(_load(port, scale.busy_seconds))
    bare = median(rates["bare"])
    for side, name in zip(SIDES, ("bare", "empty BaseHTTPMiddleware", "shadow", "enforce"), strict=True):
        share = f"{100 * median(rates[side]) / bare:.0f} % of the bare application; {_CLIENTS} clients"
        yield Figure(f"uvicorn, POST with a body, {name}", "/s", median(rates[side]), note=share)


@contextlib.contextmanager
def _uvicorn(side: str, folder: Path) -> Iterator[int]:
    """A server of `side`; its port. It takes connections as soon as it can, and they wait until then."""
    folder.mkdir(parents=True)
    paths = os.pathsep.join((str(_ROOT), str(_ROOT / "integrations")))
    environment = {**os.environ, "BENCHMARK_SIDE": side, "BENCHMARK_FOLDER": str(folder), "PYTHONPATH": paths}
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        # uvicorn takes an inherited socket for a Unix one, and leaves this out; connections have it from the listener.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port, descriptor = listener.getsockname()[1], listener.fileno()
        command = ["uvicorn", "--factory", "benchmarks.asgi_apps:served", "--fd", str(descriptor)]
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--no-access-log", "--log-level", "error"],
            cwd=_ROOT, env=environment, pass_fds=[descriptor],
        )  # fmt: skip
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _load(port: int, seconds: float) -> float:
    """Answers a second to clients that send the next request when the last is answered."""
    counts: list[int] = []

    def client() -> None:
        head = (
            f"POST /refunds/o-1 HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(_BODY)}"
        )
        request, count = head.encode() + b"\r\n\r\n" + _BODY, 0
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            while time.perf_counter() < until or not count:
                connection.sendall(request)
                received = b""
                while not received.endswith(b"\r\n\r\nok"):
                    more = connection.recv(4_096)
                    if not more:
                        raise RuntimeError(f"the server hung up after {received!r}")
                    received += more
                count += 1
        counts.append(count)

    started = time.perf_counter()
    until = started + seconds
    threads = [threading.Thread(target=client) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(counts) != _CLIENTS:
        raise RuntimeError("a client failed")
    return sum(counts) / (time.perf_counter() - started)


def _free_scope() -> dict[str, Any]:
    return _scope("GET", "/free", [])


def _refund_scope() -> dict[str, Any]:
    length = str(len(_BODY)).encode()
    return _scope("POST", "/refunds/o-1", [(b"content-type", b"application/json"), (b"content-length", length)])


def _scope(method: str, path: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
