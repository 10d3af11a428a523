"""The service: evaluations on both databases, with and without a long history, its lists, and a review's end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import remote, workload
from benchmarks.figures import Figure, median, percentile
from benchmarks.scale import Scale
from benchmarks.service_process import Served, served
from benchmarks.service_rows import REVIEWS, fill

CALLERS = 64
BATCH = 64
_HERE = Path(__file__).parent


def figures(scale: Scale, versus: bool = True) -> Iterator[Figure]:
    """SQLite first, then PostgreSQL; the published client beside ours only with `versus`.

    The server and its callers share the cores of this machine.
    """
    from tests.postgres import cluster

    with tempfile.TemporaryDirectory(prefix="supervisor-benchmark-") as name:
        yield from _database(scale, "SQLite", f"sqlite:///{name}/service.db", Path(name), versus)
    with cluster() as server, server.database() as url, tempfile.TemporaryDirectory() as name:
        yield from _database(scale, "PostgreSQL", url, Path(name), versus)


def _database(scale: Scale, kind: str, url: str, folder: Path, versus: bool) -> Iterator[Figure]:
    with served(url, folder, 1) as one:
        yield from _evaluations(scale, f"{kind}, 1 worker", one, batch=True)
        yield Figure(f"service, {kind}, 1 worker: memory after that", "MB", one.memory())
    with served(url, folder, 2) as two:
        yield from _evaluations(scale, f"{kind}, 2 workers", two, batch=False)
        yield from remote.with_service(f"{kind}, 2 workers", two, versus)
        app_id = two.app_id
    started = time.perf_counter()
    fill(url, app_id, time.time_ns() // 1_000, scale.log_rows)
    note = f"the rows took {time.perf_counter() - started:.0f} s to make"
    with served(url, folder, 1) as one:
        label = f"{kind}, {scale.log_rows:,} rows"
        yield from _evaluations(scale, f"{label}, 1 worker", one, batch=False)
        yield from _lists(label, one, note)
        yield from _resumed(f"{kind}, {REVIEWS:,} resolved", one)
        yield Figure(f"service, {label}: memory after that", "MB", one.memory())
    with served(url, folder, 2) as two:
        yield from _evaluations(scale, f"{label}, 2 workers", two, batch=False)


def _evaluations(scale: Scale, label: str, service: Served, *, batch: bool) -> Iterator[Figure]:
    asked = {"action_type": workload.ACTION, "payload": workload.FIELDS}
    seconds = min(scale.seconds / 6, 3.0)
    with _callers() as ask:

        def measured(path: str, content: Any, callers: int) -> tuple[list[float], float]:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {service.authorization}\r\n"
                "Content-Type: application/json\r\n"
            )
            body = json.dumps(content)
            given = {"port": service.port, "head": head, "body": body, "callers": callers, "seconds": seconds}
            found = ask(given)
            return [1_000 * one for one in found["times"]], len(found["times"]) / found["seconds"]

        path = "/v1/actions/evaluate"
        measured(path, asked, CALLERS)  # it has opened its connections, and made its imports
        times, _ = measured(path, asked, 1)
        yield Figure(
            f"service, {label}: one caller", "ms", percentile(times, 50), percentile(times, 99), 18,
            note=f"p95 {percentile(times, 95):.2f} ms",
        )  # fmt: skip
        times, rate = measured(path, asked, CALLERS)
        yield Figure(
            f"service, {label}: {CALLERS} callers", "/s", rate, goal=4_000, at_least=True,
            note=f"p50 {percentile(times, 50):.1f} ms, p95 {percentile(times, 95):.1f} ms, "
            f"p99 {percentile(times, 99):.1f} ms",
        )  # fmt: skip
        if batch:
            times, rate = measured(f"{path}/batch", {"items": [asked] * BATCH}, 4)
            yield Figure(
                f"service, {label}: decisions in batches of {BATCH}, 4 callers", "/s", rate * BATCH,
                note=f"p50 {percentile(times, 50):.1f} ms, p99 {percentile(times, 99):.1f} ms a batch",
            )  # fmt: skip


@contextlib.contextmanager
def _callers() -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    process = subprocess.Popen(
        [sys.executable, "-I", str(_HERE / "service_callers.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    source, target = process.stdout, process.stdin

    def ask(command: dict[str, Any]) -> dict[str, Any]:
        target.write(json.dumps(command) + "\n")
        target.flush()
        line = source.readline()
        if not line:
            raise RuntimeError(f"the callers ended with status {process.wait()}; see above")
        found: dict[str, Any] = json.loads(line)
        return found

    try:
        yield ask
    finally:
        target.close()
        process.wait(60)
        source.close()


def _lists(label: str, service: Served, note: str) -> Iterator[Figure]:
    for name, path in {
        "newest reviews that were approved": "/v1/review-cases?status=approved",
        "reviews that wait": "/v1/review-cases?status=pending",
        "newest decisions": "/v1/actions/recent?limit=100",
        "metrics of a day": "/v1/metrics/summary?window=24h",
        "metrics of 30 days": "/v1/metrics/summary?window=30d",
    }.items():
        times = []
        for _ in range(7):
            started = time.perf_counter()
            service.admin.get(path).raise_for_status()
            times.append(1_000 * (time.perf_counter() - started))
        yield Figure(f"service, {label}: {name}", "ms", median(times), max(times), 1_000, note=note)
        note = ""


def _resumed(label: str, service: Served) -> Iterator[Figure]:
    """From the reviewer's click to the answer of the long poll that waits for it."""
    import httpx

    times = []
    headers = {"authorization": service.authorization}
    with httpx.Client(base_url=service.base_url, headers=headers, trust_env=False, timeout=60) as http:
        for number in range(7):
            # A policy of 100 rules none of which matches opens no review: an action without a policy is denied, so the
            # case is opened by a version of the policy that asks for one.
            asked = {"action_type": "benchmark-review", "payload": {"number": number}}
            case = http.post("/v1/actions/evaluate", json=asked).raise_for_status().json()
            if case["decision"] != "review":
                source = (
                    "name: benchmark.review\nversion: 1\naction: benchmark-review\nrules:\n"
                    "  - {id: ask, when: payload.number >= 0, action: review, reason: ask}\n"
                )
                service.admin.post("/v1/policies", json={"yaml_source": source, "promote": True}).raise_for_status()
                continue
            answered: list[float] = []

            def wait(action_id: str, answered: list[float] = answered) -> None:
                found = http.get("/v1/review-cases", params={"action_id": action_id, "wait": 30}).json()
                assert found[0]["status"] == "approved"
                answered.append(time.perf_counter())

            waiter = threading.Thread(target=wait, args=(case["action_id"],))
            waiter.start()
            time.sleep(0.3)  # it waits
            started = time.perf_counter()
            path = f"/v1/review-cases/{case['action_id']}/resolve"
            service.admin.post(path, json={"decision": "approved"}).raise_for_status()
            waiter.join()
            times.append(1_000 * (answered[0] - started))
    yield Figure(f"service, {label}: approval to resume", "ms", median(times), max(times), 1_000, judge="p99")
