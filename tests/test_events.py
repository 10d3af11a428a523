"""What a decision tells: log lines a person can act on, hooks, counts, and how the action ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine import DENY, REVIEW, FakeSupervisor, default_guard, entry, rows, settings

from supervisor_guards import Guard, GuardConfig, SupervisorBlocked, supervised
from supervisor_guards._events import Announcer
from supervisor_guards._model import Hit, Outcome, Verdict


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def shadow_entry(action: str = "refund", rule: str = "cap", route: str | None = None) -> Any:
    one = entry(route=route, mode="shadow", enforced=False)
    one.action = type(one.action)("action-1", action, one.action.snapshot, one.action.time, mode="shadow", route=route)
    one.verdict = Verdict(Outcome.DENY, (f"{rule}-reason",), (Hit(rule, "deny", f"{rule}-reason"),))
    return one


def test_would_have_blocked_is_a_warning_with_all_one_needs_at_3_am(caplog: pytest.LogCaptureFixture) -> None:
    Announcer(Clock()).observed(shadow_entry(route="/refunds/{id}"))
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "supervisor_guards")
    for part in ("refund", "deny", "cap", "cap-reason", "shadow", "/refunds/{id}", "action-1", "the call ran"):
        assert part in record.getMessage()
    assert record.supervisor_guards["action_type"] == "refund"  # type: ignore[attr-defined]


def test_lines_alike_are_held_back_for_a_second_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    announcer = Announcer(clock)
    for _ in range(50):
        announcer.observed(shadow_entry())
    announcer.observed(shadow_entry(rule="other"))
    announcer.observed(shadow_entry(action="transfer"))
    assert len(caplog.messages) == 3
    clock.now += 0.99
    announcer.observed(shadow_entry())
    assert len(caplog.messages) == 3
    clock.now += 0.02
    announcer.observed(shadow_entry())
    announcer.observed(shadow_entry())
    assert len(caplog.messages) == 4
    assert "(+50 alike since the last line)" in caplog.messages[-1]
    clock.now += 1
    announcer.observed(shadow_entry())
    assert "(+1 alike since the last line)" in caplog.messages[-1]


def test_held_back_lines_take_bounded_memory(caplog: pytest.LogCaptureFixture) -> None:
    announcer = Announcer(Clock())
    for number in range(5_000):
        announcer.observed(shadow_entry(action=f"action-{number}"))
    assert len(caplog.messages) == 5_000
    assert len(announcer._last) <= 1_000


EVIL = "refund\nERROR all is well\r\x1b[2J\u202e\u2028退款"


def test_control_characters_never_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    Announcer(Clock()).observed(shadow_entry(action=EVIL, rule=EVIL, route=EVIL))
    guard = Guard(GuardConfig(enforcement_mode="enforce"), FakeSupervisor(DENY), inline=True)
    guard.check(EVIL, {})
    broken = Guard(GuardConfig(enforcement_mode="enforce"), FakeSupervisor(OSError(EVIL)), inline=True)
    broken.check(EVIL, {})
    assert len(caplog.messages) == 3
    for line in caplog.messages:
        assert line.isascii()
        assert line.isprintable()
        assert "refund\\nERROR" in line


def test_long_names_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    Announcer(Clock()).observed(shadow_entry(action="x" * 10_000, rule="y" * 10_000, route="z" * 10_000))
    assert len(caplog.messages[0]) < 1_500


@pytest.mark.parametrize(
    ("verdict", "changes", "parts"),
    [
        (DENY, {}, ("blocked", "outcome=deny", "rules=cap", "the call did not run")),
        (REVIEW, {"default_on_review": "fail_closed"}, ("blocked", "outcome=review", "reviews list")),
        (OSError("gone"), {}, ("blocked", "the call did not run", "supervisor-guards doctor")),
        (OSError("gone"), {"on_unavailable": "fail_open"}, ("not judged", "the call ran", "doctor")),
    ],
)
def test_an_enforced_refusal_is_logged_with_what_to_do(
    verdict: Any, changes: dict[str, Any], parts: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    Guard(GuardConfig(enforcement_mode="enforce", **changes), FakeSupervisor(verdict), inline=True).check("refund", {})
    (line,) = caplog.messages
    assert [part for part in parts if part not in line] == []
    assert "secret" not in line


def test_a_log_line_never_holds_the_payload(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(GuardConfig(enforcement_mode="enforce"), FakeSupervisor(DENY), inline=True)
    guard.check("refund", {"card": "4111111111111111"})
    assert caplog.messages
    assert "4111" not in "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)


@pytest.fixture
def enforcing(tmp_path: Path) -> Iterator[Guard]:
    with default_guard(settings(tmp_path, default_on_review="fail_open")) as guard:
        yield guard


@supervised("refund")
def refund(amount: int, fail: bool = False) -> int:
    if fail:
        raise LookupError("no such order")
    return amount


@pytest.mark.parametrize("amount", [5, 5_000])
@pytest.mark.parametrize(("fail", "result"), [(False, "returned"), (True, "raised")])
def test_the_row_tells_how_the_action_ended(amount: int, fail: bool, result: str, enforcing: Guard) -> None:
    try:
        assert refund(amount, fail) == amount
    except LookupError:
        assert fail
    assert enforcing.flush()
    assert [row.result for row in rows(enforcing)] == [result]


@pytest.mark.parametrize("amount", [50_000])
def test_the_row_of_a_refused_call_tells_that_it_did_not_run(amount: int, enforcing: Guard) -> None:
    with pytest.raises(SupervisorBlocked):
        refund(amount)
    assert [row.result for row in rows(enforcing)] == ["not-run"]


def test_close_stores_what_waits_and_may_be_repeated(tmp_path: Path) -> None:
    guard = Guard(settings(tmp_path))
    for amount in range(100):
        guard.check("refund", {"amount": amount})
    guard.close()
    guard.close()
    again = Guard(settings(tmp_path))
    assert len(rows(again)) == 100
    again.close()
