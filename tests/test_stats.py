"""`Guard.stats()`: what happened, counted; and how long callers waited."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from engine import DENY, REVIEW, FakeSupervisor, entry, settings
from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards import Guard, Stats
from supervisor_guards._histogram import bucket_of, middle_of
from supervisor_guards._model import Action, Outcome, Verdict
from supervisor_guards._stats import OTHER, TYPES_LIMIT, Tally

NOTHING: dict[str, Any] = {
    "decisions": 0, "refused": 0, "unavailable": 0, "lost": 0, "dropped": 0, "unheard": 0, "waiting": 0,
    "hook_errors": 0, "lookup_errors": 0, "by_outcome": {}, "by_would_have": {}, "by_action_type": {},
    "breaker": "closed",
}  # fmt: skip
AMOUNTS = (5, 6, 5_000, 50_000)


def counts(guard: Guard) -> dict[str, Any]:
    """The stats without the latency, which depends on the machine."""
    assert guard.flush(60)
    plain = msgspec.structs.asdict(guard.stats())
    del plain["latency"]
    return plain


def checked(guard: Guard, action_type: str, payload: Any) -> None:
    guard.check(action_type, payload)


def on(backend: str) -> Callable[..., None]:
    def acheck(guard: Guard, action_type: str, payload: Any) -> None:
        anyio.run(guard.acheck, action_type, payload, backend=backend)

    return acheck


EITHER = pytest.mark.parametrize("check", [checked, on("asyncio"), on("trio")], ids=["sync", "asyncio", "trio"])


@EITHER
@pytest.mark.parametrize(
    ("mode", "on_review", "expected", "waits"),
    [
        ("shadow", "block", {"by_outcome": {"allow": 4}, "by_would_have": {"allow": 2, "review": 1, "deny": 1}}, 0),
        ("enforce", "fail_closed", {"refused": 2, "by_outcome": {"allow": 2, "review": 1, "deny": 1}}, 4),
        ("enforce", "fail_open", {"refused": 1, "by_outcome": {"allow": 2, "review": 1, "deny": 1}}, 4),
    ],
)
@pytest.mark.parametrize("audit", ["async", "sync"])
def test_each_decision_is_counted(
    check: Any, mode: str, on_review: str, expected: dict[str, Any], waits: int, audit: str, tmp_path: Path
) -> None:
    guard = Guard(settings(tmp_path, mode, default_on_review=on_review, audit=audit))
    for amount, action_type in zip(AMOUNTS, ("refund", "refund", "refund", "transfer"), strict=True):
        check(guard, action_type, {"amount": amount})
    types = {"refund": 3, "transfer": 1}
    assert counts(guard) == {**NOTHING, "decisions": 4, "by_action_type": types, **expected}
    assert guard.stats().latency.count == waits
    guard.close()


@EITHER
@pytest.mark.parametrize(
    ("policy", "counted", "outcome"),
    [("fail_closed", {"refused": 1}, "deny"), ("fail_open", {"unavailable": 1}, "allow")],
)
def test_a_supervisor_that_fails_is_counted(
    check: Any, policy: str, counted: dict[str, int], outcome: str, tmp_path: Path
) -> None:
    guard = Guard(settings(tmp_path, on_unavailable=policy), FakeSupervisor(OSError("gone")))
    check(guard, "refund", {"amount": 5})
    expected = {"decisions": 1, "by_outcome": {outcome: 1}, "by_action_type": {"refund": 1}, **counted}
    assert counts(guard) == {**NOTHING, **expected}
    guard.close()


def test_shadow_that_could_not_judge_counts_as_unknown(tmp_path: Path) -> None:
    guard = Guard(settings(tmp_path, "shadow"))
    (tmp_path / "supervisor.yaml").unlink()
    guard.check("refund", {"amount": 5})
    assert counts(guard)["by_would_have"] == {"unknown": 1}
    guard.close()


def test_latency_covers_the_wait_for_a_person(tmp_path: Path) -> None:
    supervisor = FakeSupervisor(REVIEW)
    guard = Guard(settings(tmp_path, review_timeout_seconds=0.05), supervisor)
    guard.check("refund", {"amount": 5_000})
    latency = guard.stats().latency
    assert latency.count == 1
    assert (latency.p50 or 0) >= 48_000  # microseconds, and a bucket's middle may be 1/32 off
    guard.close()


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300))
def test_percentiles_are_within_a_thirty_second_of_the_true_ones(waits: list[int]) -> None:
    tally = Tally()
    for wait in waits:
        tally.waited(wait)
    latency = stats_of(tally).latency
    ordered = sorted(waits)
    for percent, value in ((50, latency.p50), (95, latency.p95), (99, latency.p99)):
        true = ordered[-(-len(ordered) * percent // 100) - 1]
        assert value is not None
        assert abs(value - true) <= true / 32
    assert latency.count == len(waits) == sum(latency.buckets.values())
    assert set(latency.buckets) == {middle_of(bucket_of(wait)) for wait in waits}


def test_without_enforced_calls_there_is_no_latency() -> None:
    latency = stats_of(Tally()).latency
    assert (latency.p50, latency.p95, latency.p99, latency.count, latency.buckets) == (None, None, None, 0, {})


def stats_of(tally: Tally) -> Stats:
    return tally.stats(dropped=0, waiting=0, hook_errors=0, lookup_errors=0, breaker="closed")


def test_action_types_are_bounded() -> None:
    tally, one = Tally(), entry()
    for number in range(TYPES_LIMIT + 50):
        one.action = msgspec.structs.replace(one.action, action_type=f"type-{number}")
        tally.count([one, one])
    types = stats_of(tally).by_action_type
    assert len(types) == TYPES_LIMIT + 1
    assert (types["type-0"], types["type-999"], types[OTHER]) == (2, 2, 100)


class Breaking(FakeSupervisor):
    breaker = "open"


def test_a_supervisor_s_breaker_is_shown(tmp_path: Path) -> None:
    supervisor = Breaking()
    guard = Guard(settings(tmp_path), supervisor)
    assert guard.stats().breaker == "open"
    supervisor.breaker = "half-open"
    assert guard.stats().breaker == "half-open"
    guard.close()


def test_what_had_no_room_in_the_queue_is_counted_apart(tmp_path: Path) -> None:
    entered, hold = threading.Event(), threading.Event()

    def judge(action: Action) -> Verdict:
        return DENY if action.action_type == "deny" else Verdict(Outcome.ALLOW)

    def hook(event: Any) -> None:
        entered.set()
        assert hold.wait(60)

    guard = Guard(settings(tmp_path, queue_size=2), FakeSupervisor(judge=judge))
    guard.add_hook(hook)
    guard.check("allow", {})
    assert entered.wait(60)
    for action_type in ("allow", "deny", "allow", "deny", "deny"):  # two find room
        guard.check(action_type, {})
    assert (guard.stats().unheard, guard.stats().dropped) == (3, 0)
    hold.set()
    assert counts(guard)["by_action_type"] == {"allow": 2, "deny": 1}
    assert guard.stats().latency.count == 6
    guard.close()


def test_stats_are_a_picture_of_one_moment(tmp_path: Path) -> None:
    guard = Guard(settings(tmp_path), FakeSupervisor(), inline=True)
    before = guard.stats()
    guard.check("refund", {})
    assert (before.decisions, before.by_action_type, guard.stats().decisions) == (0, {}, 1)
    with pytest.raises(AttributeError):
        before.decisions = 5  # type: ignore[misc]
    guard.close()
