"""The Flask extension: what it adds to unguarded and guarded requests, beside an empty `before_request`."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import workload
from benchmarks.figures import Figure, added, median, written
from benchmarks.scale import Scale

RULES = 100
_SIDES = ("bare", "empty", "shadow", "enforce")
_BODY = json.dumps(workload.FIELDS).encode()


def figures(scale: Scale) -> Iterator[Figure]:
    """The rows of the Flask adapter."""
    with tempfile.TemporaryDirectory(prefix="supervisor-benchmark-") as name:
        yield from _unguarded(scale, Path(name) / "unguarded")
        yield from _guarded(scale, Path(name) / "guarded")


def _unguarded(scale: Scale, folder: Path) -> Iterator[Figure]:
    times = _rounds(scale, folder, ("bare", "empty", "enforce"), _environ("GET", "/free"))
    yield Figure("Flask, a bare request", "us", median([median(one) for one in times["bare"]]) / 1e3)
    yield Figure("Flask, empty before_request, added", "us", added(times["empty"], times["bare"]) / 1e3)
    both = times["enforce"], times["bare"]
    yield Figure(
        "Flask, unguarded route, added", "us", added(*both) / 1e3, added(*both, 99) / 1e3, goal=1.5, note=_p95(*both)
    )


def _guarded(scale: Scale, folder: Path) -> Iterator[Figure]:
    times = _rounds(scale, folder, _SIDES, _environ("POST", "/refunds/o-1"))
    yield Figure(
        "Flask, empty before_request, added, a route with a body", "us", added(times["empty"], times["bare"]) / 1e3
    )
    for mode in ("shadow", "enforce"):
        both = times[mode], times["bare"]
        yield Figure(
            f"Flask, guarded route, {mode}, embedded, {RULES} rules, added",
            "us",
            added(*both) / 1e3,
            added(*both, 99) / 1e3,
            note=_p95(*both),
        )


def _p95(guarded: list[list[int]], bare: list[list[int]]) -> str:
    return f"p95 {written(added(guarded, bare, 95) / 1e3, 'us')}"


def _rounds(scale: Scale, folder: Path, sides: tuple[str, ...], environ: dict[str, Any]) -> dict[str, list[list[int]]]:
    """Nanoseconds of each request, by side and round, all sides in each round."""
    made = {side: _make(side, folder / side) for side in sides}
    times: dict[str, list[list[int]]] = {side: [] for side in sides}
    with contextlib.ExitStack() as stack:
        for _, guard in made.values():
            if guard is not None:
                stack.callback(guard.close)
        for app, _ in made.values():
            _timed(app, environ, 50)
        for _ in scale.in_time(0.5):
            for side, (app, guard) in made.items():
                times[side].append(_timed(app, environ, max(50, scale.burst // 4)))
                if guard is not None:
                    workload.store_all(guard)
    return times


def _make(side: str, folder: Path) -> tuple[Any, Any]:
    """An application, and its guard where it has one. The framework is imported here: others measure without it."""
    from flask import Flask, request

    app = Flask("benchmark")

    @app.get("/free")
    def free() -> str:
        return "ok"

    @app.post("/refunds/<order_id>")
    def refund(order_id: str) -> str:
        request.get_json()
        return "ok"

    if side == "empty":
        app.before_request(lambda: None)
    if side in ("bare", "empty"):
        return app, None
    from supervisor_guards_flask import SupervisorGuards

    folder.mkdir(parents=True)
    policy = folder / "policy.yaml"
    policy.write_text(workload.policy(workload.conditions(RULES)))
    fields = [f"body.{name}" for name in workload.FIELDS]
    app.config["SUPERVISOR_GUARDS"] = {
        "MODE": side,
        "POLICY": str(policy),
        "STATE_DIR": str(folder / "state"),
        "RULES": [{"route": "POST /refunds/<order_id>", "action": workload.ACTION, "payload": fields}],
    }
    return app, SupervisorGuards(app).guard(app)


def _timed(app: Any, environ: dict[str, Any], calls: int) -> list[int]:
    clock, times = time.perf_counter_ns, []

    def start_response(status: str, headers: Any, error: Any = None) -> Any:
        if not status.startswith("200"):
            raise RuntimeError(f"the application answered {status}")

    for _ in range(calls):
        request = {**environ, "wsgi.input": io.BytesIO(_BODY)}
        started = clock()
        answer = app(request, start_response)
        b"".join(answer)
        answer.close()
        times.append(clock() - started)
    return times


def _environ(method: str, path: str) -> dict[str, Any]:
    body = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(_BODY))} if method == "POST" else {}
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **body,
    }
