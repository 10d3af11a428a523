"""Whatever is wrong with the service: shadow runs as if it were not there, enforce follows its failure policy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor_guards import Guard, GuardConfig, SupervisorUnavailable
from supervisor_guards._decorators import supervised, supervised_async
from supervisor_guards._default import set_guard
from supervisor_guards.config import reset_for_tests
from tests.remote.peers import APP_ID, FAULTS, SECRET, Faulty

DEADLINE = 0.25
WAYS = ("sync", "asyncio", "trio")
MEETINGS = (("plain", "sync"), ("plain", "trio"), ("ours", "sync"), ("ours", "asyncio"), ("faulty", "trio"))
"""What the service says it can do, and how it is called."""
MENDED = frozenset({"other id"})
"""Faults that are over when the same is asked again."""
SETTLED = frozenset({"403"})
"""Faults of one request at a service that works: they open no breaker."""

Call = Callable[[str], Any]


def settings(peer: Faulty, folder: Path, **changes: Any) -> GuardConfig:
    ca = folder / "ca.pem"
    if peer.ca is not None:
        ca.write_text(peer.ca)
    values: dict[str, Any] = {
        "base_url": peer.base_url,
        "app_id": APP_ID,
        "shared_secret": SECRET,
        "ca_file": str(ca) if peer.ca is not None else None,
        "evaluate_timeout_seconds": DEADLINE,
        "enforcement_mode": "enforce",
        **changes,
    }
    return GuardConfig(**values)


@contextlib.contextmanager
def guard_of(config: GuardConfig) -> Iterator[Guard]:
    guard = Guard(config)
    set_guard(guard)
    try:
        yield guard
    finally:
        reset_for_tests()


def caller(way: str) -> Call:
    """A guarded function that answers what it was given, called in one of three ways."""
    if way == "sync":
        return supervised("refund")(lambda order: order)

    @supervised_async("refund")
    async def refund(order: str) -> str:
        return order

    return lambda order: anyio.run(refund, order, backend=way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS)
def test_in_shadow_the_function_runs_and_nothing_is_raised(fault: str, way: str, tmp_path: Path) -> None:
    with FAULTS[fault]() as peer, guard_of(settings(peer, tmp_path, enforcement_mode="shadow")) as guard:
        call = caller(way)
        assert [call("a"), call("b")] == ["a", "b"]
        guard.close()
        counted = guard.stats()
        told = counted.by_would_have.get("allow", 0) if fault in MENDED else 0
        assert counted.dropped + counted.by_would_have.get("unknown", 0) + told == 2
        assert sum(counted.by_would_have.values()) + counted.dropped == 2


@pytest.mark.parametrize(("capabilities", "way"), MEETINGS)
@pytest.mark.parametrize("fault", FAULTS)
def test_in_enforce_no_answer_is_an_error_that_says_what_happened(
    fault: str, capabilities: str, way: str, tmp_path: Path
) -> None:
    if fault == "other id":
        capabilities = "ours"
    with FAULTS[fault](capabilities=capabilities) as peer, guard_of(settings(peer, tmp_path)) as guard:
        ran: list[str] = []
        with pytest.raises(SupervisorUnavailable) as caught:
            ran.append(caller(way)("a"))
        assert ran == []
        told = str(caught.value)
        assert peer.base_url in told
        assert "fail_closed" in told
        assert "SUPERVISOR_" in told or "service" in told
        assert SECRET not in told
        assert guard.stats().refused == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS)
def test_fail_open_runs_and_records_that_nothing_was_judged(fault: str, way: str, tmp_path: Path) -> None:
    with FAULTS[fault]() as peer, guard_of(settings(peer, tmp_path, on_unavailable="fail_open")) as guard:
        assert caller(way)("a") == "a"
        assert guard.stats().unavailable == 1
        guard.close()


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in SETTLED])
def test_the_breaker_opens_and_never_turns_into_allow(fault: str, tmp_path: Path) -> None:
    with FAULTS[fault]() as peer, guard_of(settings(peer, tmp_path, breaker_failures=2, breaker_seconds=60)) as guard:
        for _ in range(2):
            assert not guard.check("refund", {"amount": 1}).allowed
        assert guard.stats().breaker == "open"
        asked = len(peer.server.requests) if peer.server else 0
        decision = guard.check("refund", {"amount": 1})
        assert not decision.allowed
        assert "was not asked" in str(decision.error)
        assert (len(peer.server.requests) if peer.server else 0) == asked
