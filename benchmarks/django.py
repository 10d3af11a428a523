"""The Django middleware: what it adds to unguarded and guarded views, sync and async, beside an empty middleware."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import workload
from benchmarks.figures import Figure, added, written
from benchmarks.scale import Scale

_BODY = json.dumps(workload.FIELDS).encode()
_GOALS = {"sync": 0.5, "async": 1.0}
"""Microseconds that an unguarded view may cost more than with an empty middleware."""


def figures(scale: Scale) -> Iterator[Figure]:
    """The rows of the Django adapter."""
    from benchmarks.django_apps import RULES, SIDES, start

    with tempfile.TemporaryDirectory(prefix="supervisor-benchmark-") as name, contextlib.ExitStack() as stack:
        start(Path(name))
        from supervisor_guards_django import conf

        stack.callback(conf.withdraw)
        for kind, make in (("sync", _sync), ("async", _async)):
            runs = {side: make(listed) for side, listed in SIDES.items()}
            view = "" if kind == "sync" else "/a"
            times = _rounds(scale, runs, "GET", f"/free{view}", conf)
            empty = times["empty"]
            yield Figure(f"Django {kind}, empty middleware, added", "us", added(empty, times["bare"]) / 1e3)
            yield _figure(f"Django {kind}, unguarded view, added to it", times["guarded"], empty, _GOALS[kind])
            for mode in ("shadow", "enforce"):
                times = _rounds(scale, runs, "POST", f"/{mode}{view}", conf)
                name = f"Django {kind}, guarded view, {mode}, embedded, {RULES} rules, added to it"
                yield _figure(name, times["guarded"], times["empty"])


def _figure(name: str, guarded: list[list[int]], empty: list[list[int]], goal: float | None = None) -> Figure:
    p95 = f"p95 {written(added(guarded, empty, 95) / 1e3, 'us')}"
    return Figure(name, "us", added(guarded, empty) / 1e3, added(guarded, empty, 99) / 1e3, goal=goal, note=p95)


Run = Callable[[str, str, int], list[int]]


def _rounds(scale: Scale, runs: dict[str, Run], method: str, path: str, conf: Any) -> dict[str, list[list[int]]]:
    """Nanoseconds of each call, by side and round; all sides in each round."""
    times: dict[str, list[list[int]]] = {side: [] for side in runs}
    for run in runs.values():
        run(method, path, 200)
    for _ in scale.in_time(0.5):
        for side, run in runs.items():
            times[side].append(run(method, path, scale.burst // 4))
            workload.store_all(conf.guard())
    return times


def _sync(listed: tuple[str, ...]) -> Run:
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
    from django.test import override_settings

    with override_settings(MIDDLEWARE=list(listed)):
        handler = WSGIHandler()

    def run(method: str, path: str, calls: int) -> list[int]:
        clock, times = time.perf_counter_ns, []
        for _ in range(calls):
            request = WSGIRequest(_environ(method, path))
            started = clock()
            response = handler.get_response(request)
            times.append(clock() - started)
            _check(response)
        return times

    return run


def _async(listed: tuple[str, ...]) -> Run:
    from django.core.handlers.asgi import ASGIHandler, ASGIRequest
    from django.test import override_settings

    with override_settings(MIDDLEWARE=list(listed)):
        handler = ASGIHandler()

    async def arun(method: str, path: str, calls: int) -> list[int]:
        clock, times = time.perf_counter_ns, []
        for _ in range(calls):
            request = ASGIRequest(_scope(method, path), io.BytesIO(_BODY if method == "POST" else b""))
            started = clock()
            response = await handler.get_response_async(request)
            times.append(clock() - started)
            _check(response)
        return times

    def run(method: str, path: str, calls: int) -> list[int]:
        return asyncio.run(arun(method, path, calls))

    return run


def _check(response: Any) -> None:
    if response.status_code != 200:
        raise RuntimeError(f"the view answered {response.status_code}: {response.content!r}")


def _environ(method: str, path: str) -> dict[str, Any]:
    body = _BODY if method == "POST" else b""
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json" if body else "",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
    }


def _scope(method: str, path: str) -> dict[str, Any]:
    length = str(len(_BODY)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)] if method == "POST" else []
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
