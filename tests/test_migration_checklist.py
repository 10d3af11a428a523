"""Code written for the published package 0.3.0, as it stands in the migration guide's checklist, on ours.

The published package asks a service; here the embedded supervisor answers. What `test_seed_page*` have is not repeated.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor_guards import (
    GuardConfig,
    ReviewTimedOut,
    SupervisorBlocked,
    SupervisorReviewPending,
    SupervisorUnavailable,
    config,
    configure,
    get_guard,
    guarded,
    observe,
    observing,
    supervised,
    supervised_async,
)
from tests.engine import FakeSupervisor, default_guard

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "migrating.md"
POLICY = """
name: payments
version: 1
action: [refund, payment]
rules:
  - {id: hard-cap, when: "payload['amount'] > 10000", action: deny, reason: amount-exceeds-hard-cap}
  - {id: large, when: "payload['amount'] > 1000", action: review, reason: large-amount}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a policy, and no setting in the environment."""
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    (tmp_path / "supervisor.yaml").write_text(POLICY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config.reset_for_tests()
    yield tmp_path
    config.reset_for_tests()


def rows() -> list[Any]:
    assert get_guard().flush()
    return list(reversed(get_guard().supervisor.store.decisions()))  # type: ignore[attr-defined]


PAID: list[tuple[str, int]] = []


@supervised("payment", payload=lambda vendor, amount: {"vendor": vendor, "amount": amount})
def pay(vendor: str, amount: int) -> str:
    """A call site as it was: decorated when the module is imported, long before `configure`."""
    PAID.append((vendor, amount))
    return f"paid {vendor}"


@supervised_async("payment", payload=lambda vendor, amount: {"vendor": vendor, "amount": amount})
async def pay_async(vendor: str, amount: int) -> str:
    PAID.append((vendor, amount))
    return f"paid {vendor}"


def call_async(vendor: str, amount: int) -> str:
    return anyio.run(pay_async, vendor, amount)


def call_guarded(vendor: str, amount: int) -> str:
    def paying(vendor: str, amount: int) -> str:
        PAID.append((vendor, amount))
        return f"paid {vendor}"

    return guarded("payment", {"vendor": vendor, "amount": amount}, paying, vendor, amount)


WAYS = pytest.mark.parametrize("call", [pay, call_async, call_guarded], ids=["supervised", "async", "guarded"])


@pytest.fixture(autouse=True)
def nothing_paid() -> None:
    PAID.clear()


@WAYS
def test_an_allowed_call_runs_and_answers(call: Any) -> None:
    configure(enforcement_mode="enforce")
    assert call("acme", 420) == "paid acme"
    assert PAID == [("acme", 420)]
    assert [(row.outcome, row.result) for row in rows()] == [("allow", "returned")]


@WAYS
def test_a_call_above_the_cap_is_denied_and_does_not_run(call: Any) -> None:
    configure(enforcement_mode="enforce")
    with pytest.raises(SupervisorBlocked) as caught:
        call("acme", 99_999)
    assert (caught.value.decision, caught.value.reasons) == ("deny", ["amount-exceeds-hard-cap"])
    assert PAID == []
    assert [row.action_id for row in rows()] == [caught.value.action_id]


@WAYS
def test_fail_closed_raises_pending_at_once(call: Any) -> None:
    configure(enforcement_mode="enforce", default_on_review="fail_closed")
    with pytest.raises(SupervisorReviewPending) as caught:
        call("acme", 5_000)
    assert caught.value.action_id
    assert PAID == []


@WAYS
def test_fail_open_runs_and_records_the_review(call: Any) -> None:
    configure(enforcement_mode="enforce", default_on_review="fail_open")
    assert call("acme", 5_000) == "paid acme"
    assert [row.reasons for row in rows()] == [("large-amount",)]


@WAYS
def test_block_denies_when_nobody_decides_in_time(call: Any) -> None:
    configure(enforcement_mode="enforce", review_poll_interval_seconds=0.01, review_timeout_seconds=0.02)
    with pytest.raises(SupervisorBlocked) as caught:
        call("acme", 5_000)
    assert isinstance(caught.value, ReviewTimedOut)
    assert PAID == []


@pytest.mark.parametrize("amount", [5_000, 99_999])
def test_shadow_at_the_call_site_beats_enforce(amount: int) -> None:
    configure(enforcement_mode="enforce", default_on_review="fail_closed")

    @supervised("payment", on_review="shadow")
    def watched(amount: int) -> int:
        return amount

    assert watched(amount) == amount
    assert guarded("payment", {"amount": amount}, lambda: amount, on_review="shadow") == amount
    assert {(row.outcome, row.mode) for row in rows()} == {("allow", "shadow")}
    assert {row.would_have for row in rows()} == {"review" if amount == 5_000 else "deny"}


def test_sample_mixes_enforced_and_observed_calls() -> None:
    configure(enforcement_mode="sample", sample_percent=50)
    blocked = 0
    for user in range(60):
        with observing(user_id=f"user-{user}"):
            try:
                pay("acme", 99_999)
            except SupervisorBlocked:
                blocked += 1
    assert 0 < blocked < 60
    assert len(PAID) == 60 - blocked


def test_the_environment_alone_configures_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "sample")
    monkeypatch.setenv("SUPERVISOR_SAMPLE_PERCENT", "100")
    with pytest.raises(SupervisorBlocked):
        pay("acme", 99_999)
    assert config.get_enforcement_mode() == "sample"
    assert config.get_sample_percent() == 100


@WAYS
def test_a_supervisor_that_is_gone_refuses_in_enforce_and_not_in_shadow(call: Any) -> None:
    gone = FakeSupervisor(ConnectionRefusedError("nobody listens"))
    with default_guard(GuardConfig(enforcement_mode="shadow"), gone):
        assert call("acme", 420) == "paid acme"
    with default_guard(GuardConfig(enforcement_mode="enforce"), gone), pytest.raises(SupervisorUnavailable):
        call("acme", 420)
    assert PAID == [("acme", 420)]


def test_the_caller_s_context_is_recorded() -> None:
    configure()
    observe(tenant="t-1")
    with observing(user_id="u-1", session_id="s-1"):
        pay("acme", 420)
    observe()
    (row,) = rows()
    assert all(word in row.context for word in ("t-1", "u-1", "s-1"))


# -- The guide ---------------------------------------------------------------------------------------------

LINE = re.compile(r"^\| (?P<what>[^|]+) \| `(?P<file>test_\w+\.py)::(?P<test>test_\w+)` \|$", re.MULTILINE)


def test_every_line_of_the_checklist_names_a_test_that_is_there() -> None:
    checklist = GUIDE.read_text(encoding="utf-8").partition("## A checklist")[2].partition("\n## ")[0]
    lines = [line for line in checklist.splitlines() if line.startswith("| ")][1:]
    found = list(LINE.finditer(checklist))
    assert len(found) == len(lines) > 10, "each line has a test, written `file::test`"
    for line in found:
        assert line["test"] in _tests(ROOT / "tests" / line["file"]), line["what"]


def _tests(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}
