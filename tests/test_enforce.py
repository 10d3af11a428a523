"""Enforce: a refusal comes before the function and after its row; shadow foretells it; faults follow the policy."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from engine import POLICY, FakeSupervisor, default_guard, rows, settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from supervisor_guards import (
    Guard,
    GuardConfig,
    PayloadUnusable,
    SupervisorBlocked,
    SupervisorReviewPending,
    SupervisorUnavailable,
    guarded,
    guarded_async,
    supervised,
    supervised_async,
)
from supervisor_guards._model import Outcome

ran: list[int] = []


def refund(amount: int) -> int:
    ran.append(amount)
    return amount


async def arefund(amount: int) -> int:
    ran.append(amount)
    return amount


def imperative(amount: int) -> int:
    return guarded("refund", {"amount": amount}, refund, amount)


async def aimperative(amount: int) -> int:
    return await guarded_async("refund", {"amount": amount}, arefund, amount)


decorated = supervised("refund")(refund)
adecorated = supervised_async("refund")(arefund)
WAYS: dict[str, Callable[[int], int]] = {
    "decorator": decorated,
    "guarded": imperative,
    **{
        f"{name} on {backend}": lambda amount, call=call, backend=backend: anyio.run(call, amount, backend=backend)  # type: ignore[misc]
        for name, call in {"decorator": adecorated, "guarded": aimperative}.items()
        for backend in ("asyncio", "trio")
    },
}
EVERY = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(autouse=True)
def fresh() -> None:
    ran.clear()


@EVERY
def test_a_deny_raises_before_the_function_runs(way: str, tmp_path: Path) -> None:
    with default_guard(settings(tmp_path)) as guard:
        with pytest.raises(SupervisorBlocked) as caught:
            WAYS[way](50_000)
        assert ran == []
        assert (caught.value.decision, caught.value.reasons) == ("deny", ["amount-exceeds-hard-cap"])
        # Not flushed: the row was there before the exception.
        (row,) = guard.supervisor.store.decisions()  # type: ignore[attr-defined]
        assert row.action_id == caught.value.action_id
        assert WAYS[way](5) == 5


@EVERY
def test_a_review_raises_before_the_function_runs(way: str, tmp_path: Path) -> None:
    with default_guard(settings(tmp_path, default_on_review="fail_closed")) as guard:
        with pytest.raises(SupervisorReviewPending) as caught:
            WAYS[way](5_000)
        assert ran == []
        assert caught.value.reasons == ["amount-needs-a-look"]
        (review,) = guard.supervisor.store.reviews("pending")  # type: ignore[attr-defined]
        assert review.action_id == caught.value.action_id


KILLED = """
import os, signal
from supervisor_guards import GuardError, configure, guarded
configure(enforcement_mode="enforce", default_on_review="fail_closed", audit="{audit}")
try:
    guarded("refund", {{"amount": {amount}}}, os.kill, os.getpid(), signal.SIGKILL)
except GuardError as error:
    print(error.action_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("amount", "outcome"), [(50_000, "deny"), (5_000, "review"), (5, "allow")])
def test_the_row_is_committed_before_the_caller_goes_on(amount: int, outcome: str, tmp_path: Path) -> None:
    """The process is killed the moment the refusal arrives, or, with `audit="sync"`, by the action itself."""
    settings(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(amount=amount, audit="sync" if outcome == "allow" else "async")],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    connection = sqlite3.connect(tmp_path / ".supervisor" / "decisions.db")
    stored = connection.execute("SELECT action_id, outcome FROM sg_decisions").fetchall()
    reviews = connection.execute("SELECT action_id, status FROM sg_reviews").fetchall()
    connection.close()
    assert [stored_outcome for _, stored_outcome in stored] == [outcome]
    if outcome != "allow":
        assert stored[0][0] == done.stdout.strip()
    assert reviews == ([(stored[0][0], "pending")] if outcome == "review" else [])


CONDITIONS = """
name: everything
version: 1
action: refund
default: {default}
rules:
  - {{id: cap, when: "payload.amount > 100", action: deny, reason: cap}}
  - {{id: odd, when: "payload.get('amount') in (1, 3, 5)", action: review, reason: odd}}
  - {{id: note, when: "'refund' in payload.note.lower()", action: review, reason: note}}
  - {{id: many, when: "len(payload.items) > 3", action: deny, reason: many}}
  - {{id: known, when: "payload.vip == True", action: allow, reason: known}}
"""
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.decimals(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
payloads = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.integers(-10, 200) | values,
        "note": st.sampled_from(["", "Refund!"]) | values,
        "items": st.lists(st.integers(), max_size=6) | values,
        "vip": st.booleans() | values,
    },
) | st.dictionaries(st.text(max_size=5), values, max_size=4)


@pytest.fixture(scope="module", params=["allow", "review", "deny"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Guard, Guard]]:
    """A guard in shadow and one in enforce, with one policy."""
    with tempfile.TemporaryDirectory() as name:
        guards = []
        for mode in ("shadow", "enforce"):
            folder = Path(name) / mode
            folder.mkdir()
            policy = CONDITIONS.format(default=request.param)
            changes = {"default_on_review": "fail_closed", "max_payload_bytes": 256}
            guards.append(Guard(settings(folder, mode, policy, **changes), inline=mode == "shadow"))
        yield guards[0], guards[1]
        for guard in guards:
            guard.close()


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(payload=payloads)
def test_shadow_foretells_what_enforce_does(payload: Any, pair: tuple[Guard, Guard]) -> None:
    shadow, enforce = pair
    passed = shadow.check("refund", payload)
    decided = enforce.check("refund", payload)
    row = shadow.supervisor.store.decision(passed.action_id)  # type: ignore[attr-defined]
    assert (passed.allowed, row.outcome, row.status) == (True, "allow", "evaluated")
    assert (row.would_have, tuple(row.reasons), tuple(row.rule_ids)) == (
        decided.outcome.value,
        decided.reasons,
        decided.rule_ids,
    )


REFUSED = {
    "payload raises": lambda amount: {"ratio": 1 / 0},
    "marker where a rule reads": lambda amount: {"amount": float("nan")},
    "object where a rule reads": lambda amount: {"amount": object()},
    "truncated where a rule reads": lambda amount: {"amount": amount, "note": "x" * 200_000 + "fraud"},
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("on_unavailable", ["fail_closed", "fail_open"])
def test_what_the_request_made_unreadable_is_refused_whatever_is_set(
    name: str, on_unavailable: str, tmp_path: Path
) -> None:
    rule = "  - {id: note, when: \"'fraud' in payload.get('note', '')\", action: deny, reason: fraud}\n"
    config = settings(tmp_path, policy=POLICY + rule, on_unavailable=on_unavailable, default_on_review="fail_open")
    with default_guard(config) as guard:
        with pytest.raises(PayloadUnusable):
            supervised("refund", payload=REFUSED[name])(refund)(5)
        assert ran == []
        (row,) = rows(guard)
        assert (row.outcome, row.result) == ("deny", "not-run")


def test_an_action_without_a_policy_is_denied(tmp_path: Path) -> None:
    with default_guard(settings(tmp_path)), pytest.raises(SupervisorBlocked) as caught:
        guarded("delete-everything", {}, refund, 5)
    assert (caught.value.reasons, ran) == (["no-policy"], [])


@EVERY
@pytest.mark.parametrize("on_unavailable", ["fail_closed", "fail_open"])
def test_a_supervisor_that_fails_follows_the_failure_policy(way: str, on_unavailable: Any) -> None:
    supervisor = FakeSupervisor(OSError("no route to host"))
    with default_guard(GuardConfig(enforcement_mode="enforce", on_unavailable=on_unavailable), supervisor) as guard:
        if on_unavailable == "fail_open":
            assert WAYS[way](5) == 5
        else:
            with pytest.raises(SupervisorUnavailable, match="no route to host"):
                WAYS[way](5)
        assert guard.flush()
        (one,) = supervisor.recorded
        assert (one.status, one.outcome, one.result) == (
            "unavailable",
            Outcome.ALLOW if on_unavailable == "fail_open" else Outcome.DENY,
            "returned" if on_unavailable == "fail_open" else "not-run",
        )
    assert ran == ([5] if on_unavailable == "fail_open" else [])


@EVERY
def test_a_deny_whose_row_cannot_be_written_is_still_refused_under_fail_open(way: str, tmp_path: Path) -> None:
    with default_guard(settings(tmp_path, on_unavailable="fail_open", default_on_review="fail_open")):
        database = sqlite3.connect(tmp_path / ".supervisor" / "decisions.db", isolation_level=None)
        full = "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        database.execute(f"CREATE TRIGGER full BEFORE INSERT ON sg_decisions {full}")
        database.close()
        for amount in (50_000, 5_000):
            with pytest.raises((SupervisorBlocked, SupervisorUnavailable)):
                WAYS[way](amount)
        assert ran == []


def test_with_a_full_queue_the_caller_writes_and_nothing_is_dropped(tmp_path: Path) -> None:
    with default_guard(settings(tmp_path, queue_size=1)) as guard:
        for amount in range(200):
            decorated(amount)
        assert len(rows(guard)) == 200
        assert guard.stats().dropped == 0


def test_cancellation_is_never_an_allow(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    with default_guard(GuardConfig(enforcement_mode="enforce", on_unavailable="fail_open"), FakeSupervisor(Stop())):
        for call in WAYS.values():
            with pytest.raises(Stop):
                call(5)
    assert ran == []


def test_fail_open_does_not_open_a_refusal_that_cannot_be_stored(tmp_path: Path) -> None:
    ran: list[object] = []
    with default_guard(settings(tmp_path, on_unavailable="fail_open")) as guard:
        guard.supervisor.store.close()  # type: ignore[attr-defined]
        with pytest.raises(SupervisorBlocked):
            guarded("refund", {"amount": 20_000}, ran.append, 1)
    assert ran == []
