"""One client of a service, measured in rounds: run by our interpreter, and by the published package's.

Reads one JSON command a line: first `{"base_url", "app_id", "secret", "fields"}`, then `{"kind", "callers", "calls"}`
for each round: `calls` enforced calls by each of `callers` threads (`"threads"`) or tasks (`"tasks"`), or raw round
trips over httpcore with the bytes of our client (`"raw"`). Answers with the times of the calls in microseconds, the
whole time in seconds, the CPU time of a call in microseconds, the memory over a bare interpreter in MB, and how many
calls raised. Imports nothing that the published package doesn't have, but for `"raw"`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve rounds until standard input closes."""
    bare_memory = memory()
    from supervisor_guards import configure, supervised, supervised_async

    logging.disable(logging.CRITICAL)
    start = json.loads(sys.stdin.readline())
    configure(
        base_url=start["base_url"],
        app_id=start["app_id"],
        shared_secret=start["secret"],
        scopes=["*"],
        enforcement_mode="enforce",
    )
    scope: dict[str, Any] = {}
    names = ", ".join(start["fields"])
    exec(f"def refund(*, {names}): return None\nasync def arefund(*, {names}): return None", scope)
    guarded, aguarded = supervised("refund")(scope["refund"]), supervised_async("refund")(scope["arefund"])
    loop = asyncio.new_event_loop()
    for line in sys.stdin:
        order = json.loads(line)
        kind, callers, calls = order["kind"], order["callers"], order["calls"]
        failed.clear()
        cpu, began = time.process_time(), time.perf_counter()
        if kind == "threads":
            times = by_threads(guarded, start["fields"], callers, calls)
        elif kind == "tasks":
            times = loop.run_until_complete(by_tasks(aguarded, start["fields"], callers, calls))
        else:
            times = raw(guarded, start["fields"], calls)
        answer = {
            "times": times,
            "seconds": time.perf_counter() - began,
            "cpu": (time.process_time() - cpu) * 1e6 / len(times),
            "memory": memory() - bare_memory,
            "failed": len(failed),
        }
        print(json.dumps(answer), flush=True)


failed: list[int] = []
"""One for each call of this round that raised."""


def memory() -> float:
    """Resident memory in MB. (The peak that the system reports is the parent's, right after the start.)"""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1_048_576


def by_threads(call: Any, fields: dict[str, Any], callers: int, calls: int) -> list[float]:
    """Each thread makes its calls back to back."""
    times: list[float] = []

    def some() -> None:
        own = []
        for _ in range(calls):
            began = time.perf_counter_ns()
            try:
                call(**fields)
            except Exception:
                failed.append(1)
                continue
            own.append((time.perf_counter_ns() - began) / 1000)
        times.extend(own)

    threads = [threading.Thread(target=some) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


async def by_tasks(call: Any, fields: dict[str, Any], callers: int, calls: int) -> list[float]:
    """Each task makes its calls back to back."""
    times: list[float] = []

    async def some() -> None:
        for _ in range(calls):
            began = time.perf_counter_ns()
            try:
                await call(**fields)
            except Exception:
                failed.append(1)
                continue
            times.append((time.perf_counter_ns() - began) / 1000)

    await asyncio.gather(*[some() for _ in range(callers)])
    return times


def raw(call: Any, fields: dict[str, Any], calls: int) -> list[float]:
    """Round trips of one request of ours, sent as it was, over a connection of httpcore's own."""
    import httpcore

    from supervisor_guards import get_guard
    from supervisor_guards.remote.sockets import Line

    sent: list[Any] = []
    exchange = Line.exchange

    def listening(self: Line, request: Any, *more: Any) -> Any:
        sent.append(request)
        return exchange(self, request, *more)

    Line.exchange = listening  # type: ignore[method-assign]
    try:
        call(**fields)
    finally:
        Line.exchange = exchange  # type: ignore[method-assign]
    request = next(one for one in sent if one.target.endswith((b"/evaluate", b"/batch")))
    address = get_guard().supervisor.asking.address  # type: ignore[attr-defined]
    url = httpcore.URL(scheme=b"http", host=address.host.encode(), port=address.port, target=request.target)
    times = []
    with httpcore.HTTPConnection(url.origin) as connection:
        for _ in range(calls):
            began = time.perf_counter_ns()
            answer = connection.request(request.method, url, headers=list(request.headers), content=request.body)
            assert answer.status == 200
            times.append((time.perf_counter_ns() - began) / 1000)
    return times


if __name__ == "__main__":
    main()
