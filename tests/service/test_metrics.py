"""What the service counts: in version 1's words over the API, and for Prometheus."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor_guards.service.metrics import summary
from tests.service.serving import ADMIN, Caller, Running, body, serving

PATHS = ("/v1/metrics/summary", "/v1/metrics/enforcement")
KEYS = [
    "window", "since", "total_evaluations", "shadow_evaluations", "enforced_evaluations", "would_block_in_shadow",
    "actually_blocked", "reviews", "blocks_later_approved_by_reviewer", "estimated_false_positive_rate", "latency_ms",
]  # fmt: skip


def _ask(http: httpx.Client, amount: float, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = http.post("/v1/actions/evaluate", json=body(amount, **fields)).raise_for_status().json()
    return found


@pytest.fixture
def judged(running: Running, http: httpx.Client) -> httpx.Client:
    """In shadow: an allow, two denies, a review. Enforced: two allows, a deny, two reviews, one of them approved."""
    for amount in (1, 500, 501, 60):
        _ask(http, amount, shadow=True)
    for amount in (1, 2, 500):
        _ask(http, amount)
    running.resolve(_ask(http, 61)["action_id"], "rejected")
    running.resolve(_ask(http, 62, action_type="payment")["action_id"])
    return http


@pytest.mark.parametrize("path", PATHS)
def test_shadow_and_enforced_are_counted_apart(judged: httpx.Client, path: str) -> None:
    found = judged.get(path).json()
    assert list(found) == KEYS
    taken = found.pop("latency_ms")
    assert found.pop("since").endswith("Z")
    assert found == {
        "window": "24h", "total_evaluations": 9, "shadow_evaluations": 4, "enforced_evaluations": 5,
        "would_block_in_shadow": 3, "actually_blocked": 3, "reviews": 2, "blocks_later_approved_by_reviewer": 1,
        "estimated_false_positive_rate": 0.3333,
    }  # fmt: skip
    assert taken["samples"] == 9
    assert 0 <= taken["p50"] <= taken["p95"] <= taken["p99"]


def test_an_application_without_decisions_has_zeros(http: httpx.Client) -> None:
    found = http.get("/v1/metrics/summary?window=30d").json()
    assert found["latency_ms"] == {"p50": None, "p95": None, "p99": None, "samples": 0}
    assert (found["total_evaluations"], found["estimated_false_positive_rate"]) == (0, 0.0)


def test_an_application_sees_its_own_and_people_see_all(
    judged: httpx.Client, other: httpx.Client, admin: httpx.Client
) -> None:
    before = admin.get("/v1/metrics/summary").json()
    _ask(other, 1)
    assert other.get("/v1/metrics/summary").json()["total_evaluations"] == 1
    after = admin.get("/v1/metrics/summary").json()
    assert after["total_evaluations"] == before["total_evaluations"] + 1 >= 10
    assert after["latency_ms"]["samples"] == before["latency_ms"]["samples"] + 1


def test_an_application_sees_no_further_than_its_scopes(running: Running) -> None:
    narrow = running.integration(scopes=["refund"])
    with narrow.client(running.base_url) as http:
        _ask(http, 1)
        with running.service.store.reading() as held:
            caller = running.service.integrations.credentials(narrow.id)
            assert caller is not None
            assert summary(held, "24h", caller.integration).total_evaluations == 1


def test_what_is_older_than_the_window_is_left_out(judged: httpx.Client, running: Running, shop: Caller) -> None:
    found = running.service.integrations.credentials(shop.id)
    assert found is not None
    week = 8 * 86_400 * 1_000_000
    with running.service.store.reading() as held:
        later = summary(held, "7d", found.integration, time.time_ns() // 1_000 + week)
        assert later.total_evaluations == 0
        month = summary(held, "30d", found.integration, time.time_ns() // 1_000 + week)
        assert month.total_evaluations == 9
        assert month.blocks_later_approved_by_reviewer == 1


def test_another_window_is_refused(http: httpx.Client) -> None:
    answer = http.get("/v1/metrics/summary?window=1y")
    assert answer.status_code == 422
    assert "24h, 7d, 30d" in answer.text


def test_an_approval_counts_though_its_review_is_deleted(running: Running, http: httpx.Client) -> None:
    name = _ask(http, 70)["action_id"]
    running.resolve(name)
    first = http.get("/v1/metrics/summary").json()
    assert first["blocks_later_approved_by_reviewer"] == 1
    assert http.get("/v1/metrics/summary").json()["actually_blocked"] == first["actually_blocked"] == 1


# Prometheus


def _read(text: str, name: str, **labels: str) -> float:
    """The value of one series."""
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        if found and dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")) == labels:
            return float(found[2])
    return 0.0


def test_prometheus_counts_decisions_requests_commits_and_what_waits(
    running: Running, http: httpx.Client, admin: httpx.Client
) -> None:
    before = admin.get("/metrics").text
    _ask(http, 500)
    _ask(http, 501, shadow=True)
    _ask(http, 55)
    _ask(http, 1, action_type="made-up")
    http.get("/v1/nowhere/at-all")
    answer = admin.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")

    def grown(name: str, **labels: str) -> float:
        return _read(answer.text, name, **labels) - _read(before, name, **labels)

    assert grown("supervisor_decisions_total", action="refund", decision="deny", mode="enforce") == 1
    assert grown("supervisor_decisions_total", action="refund", decision="deny", mode="shadow") == 1
    assert grown("supervisor_decisions_total", action="refund", decision="review", mode="enforce") == 1
    assert grown("supervisor_decisions_total", action="(other)", decision="deny", mode="enforce") == 1
    assert grown("supervisor_reviews", state="pending") == 1
    evaluate = {"method": "POST", "route": "/v1/actions/evaluate", "status": "200"}
    assert grown("supervisor_request_seconds_count", **evaluate) == 4
    assert grown("supervisor_request_seconds_count", method="GET", route="(unknown)", status="404") == 1
    assert grown("supervisor_commit_rows_sum") == 4
    assert "made-up" not in answer.text
    assert "at-all" not in answer.text
    for name in ("supervisor_queue_rows", "supervisor_dropped_total", "supervisor_webhook_deliveries"):
        assert name in answer.text


def test_a_shadow_call_that_runs_unjudged_is_counted(running: Running, http: httpx.Client, admin: httpx.Client) -> None:
    before = _read(admin.get("/metrics").text, "supervisor_dropped_total")
    large = body(1, shadow=True, note="x" * (running.service.config.max_body_bytes + 1))
    assert http.post("/v1/actions/evaluate", json=large).status_code == 200
    assert _read(admin.get("/metrics").text, "supervisor_dropped_total") == before + 1


PROXIED = {"x-forwarded-for": "203.0.113.9"}


@pytest.mark.parametrize(
    ("setting", "headers", "status"),
    [
        ("loopback", {}, 200),
        ("loopback", PROXIED, 401),
        ("loopback", {**PROXIED, **ADMIN}, 200),
        ("people", {}, 401),
        ("people", ADMIN, 200),
        ("everybody", PROXIED, 200),
    ],
)
def test_who_may_read_the_counters_is_a_setting(
    made_sqlite: Path, tmp_path: Path, setting: str, headers: dict[str, str], status: int
) -> None:
    with serving(f"sqlite:///{tmp_path}/service.db", tmp_path / "state", metrics=setting) as one:
        answer = httpx.get(f"{one.base_url}/metrics", headers=headers, trust_env=False)
        assert answer.status_code == status


def test_an_application_may_not_read_the_counters_of_all(running: Running, shop: Caller) -> None:
    answer = httpx.get(f"{running.base_url}/metrics", headers=shop.headers, trust_env=False)
    assert answer.status_code == 403
