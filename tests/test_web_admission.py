"""Asking the engine from a web request: modes, sampling, reviews and their approvals, on real parts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from engine import rows, settings

from supervisor_guards import Guard, guarded
from supervisor_guards.errors import (
    ApprovalInvalid,
    ApprovalUsed,
    PayloadUnusable,
    SupervisorBlocked,
    SupervisorReviewPending,
)
from supervisor_guards.web import (
    STATE_KEY,
    RequestFacts,
    RequestState,
    RouteRule,
    Tripwire,
    User,
    aadmit,
    admit,
    apayload_source,
    enforces,
    get_state,
    parse_body,
    payload_source,
    serving,
)

RULE = RouteRule("POST /refunds/{order_id}", "refund", payload=["path.order_id", "body.amount"])
TRANSFER = RouteRule("POST /refunds/{order_id}", "transfer", payload=["body.amount"])


def facts(amount: int, user: str = "u-1", **changes: Any) -> RequestFacts:
    body = parse_body(b'{"amount": %d}' % amount, "application/json")
    return RequestFacts(
        "POST", "POST /refunds/{order_id}", path={"order_id": 17}, user=User(user), body=body, **changes
    )


Ask = Callable[..., Any]


def ask(guard: Guard, rule: RouteRule, request: RequestFacts, **options: Any) -> Any:
    return admit(guard, rule, request, payload_source(rule, request), **options)


def aask(guard: Guard, rule: RouteRule, request: RequestFacts, **options: Any) -> Any:
    async def call() -> Any:
        return await aadmit(guard, rule, request, await apayload_source(rule, request), **options)

    return asyncio.run(call())


@pytest.fixture(params=[ask, aask], ids=["sync", "async"])
def asked(request: pytest.FixtureRequest) -> Ask:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def guard(tmp_path: Path) -> Any:
    made = Guard(settings(tmp_path))
    yield made
    made.close()


def approve(guard: Guard, action_id: str) -> None:
    guard.supervisor.store.resolve(action_id, "approved", "alice")  # type: ignore[attr-defined]


def test_verdicts_reach_the_entry(guard: Guard, asked: Ask) -> None:
    assert asked(guard, RULE, facts(7)).decision.error is None
    assert isinstance(asked(guard, RULE, facts(20_000)).decision.error, SupervisorBlocked)
    pending = asked(guard, RULE, facts(2_000)).decision.error  # answers at once inside a request
    assert isinstance(pending, SupervisorReviewPending)
    row = next(row for row in rows(guard) if row.action_id == pending.action_id)
    assert (row.route, row.subject, row.outcome) == ("POST /refunds/{order_id}", "u-1", "review")


def test_an_approved_request_runs_once(guard: Guard, asked: Ask) -> None:
    case = asked(guard, RULE, facts(2_000)).decision.error.action_id
    waiting = asked(guard, RULE, facts(2_000), approval=case).decision.error
    assert (type(waiting), waiting.reasons, waiting.action_id) == (ApprovalInvalid, ["pending"], case)
    approve(guard, case)
    for other in (facts(2_001), facts(2_000, user="u-2")):
        assert isinstance(asked(guard, RULE, other, approval=case).decision.error, ApprovalInvalid)
    assert asked(guard, RULE, facts(2_000), approval=case).decision.error is None
    assert isinstance(asked(guard, RULE, facts(2_000), approval=case).decision.error, ApprovalUsed)


def test_of_fifty_parallel_resubmissions_one_runs(guard: Guard) -> None:
    case = ask(guard, RULE, facts(2_000)).decision.error.action_id
    approve(guard, case)
    with ThreadPoolExecutor(16) as pool:
        errors = list(pool.map(lambda _: ask(guard, RULE, facts(2_000), approval=case).decision.error, range(50)))
    assert sum(error is None for error in errors) == 1
    assert sum(isinstance(error, ApprovalUsed) for error in errors) == 49


def test_each_action_finds_its_own_among_several_approvals(guard: Guard, asked: Ask) -> None:
    refund = asked(guard, RULE, facts(2_000)).decision.error.action_id
    transfer = asked(guard, TRANSFER, facts(2_000)).decision.error.action_id
    both = (transfer, refund)
    approve(guard, refund)
    for rule in (RULE, TRANSFER):
        waiting = asked(guard, rule, facts(2_000), approval=both[::-1]).decision.error
        assert (waiting.reasons, waiting.action_id) == (["pending"], transfer), "none is used up before all are there"
    approve(guard, transfer)
    assert asked(guard, RULE, facts(2_000), approval=both).decision.error is None
    assert asked(guard, TRANSFER, facts(2_000), approval=both).decision.error is None
    assert isinstance(asked(guard, RULE, facts(2_000), approval=both).decision.error, ApprovalUsed)


def test_a_deny_wins_over_an_approval(guard: Guard, tmp_path: Path) -> None:
    case = ask(guard, RULE, facts(2_000)).decision.error.action_id
    approve(guard, case)
    denied = ask(guard, RULE, facts(20_000), approval=case).decision.error
    assert type(denied) is SupervisorBlocked


def test_a_payload_callable_gets_the_request_and_its_errors_refuse(guard: Guard) -> None:
    own = RouteRule("/x", "refund", payload=lambda request: {"amount": request["total"]})
    for request, refusal in (({"total": 7}, None), ({"total": 20_000}, SupervisorBlocked), ({}, PayloadUnusable)):
        error = admit(guard, own, facts(0), payload_source(own, facts(0), request)).decision.error  # type: ignore[union-attr]
        assert refusal is None if error is None else type(error) is refusal


async def _total(request: Any) -> Any:
    return {"amount": request["total"]}


def test_a_coroutine_function_may_make_the_payload(guard: Guard) -> None:
    own = RouteRule("/x", "refund", payload=_total)

    async def error_of(request: Any) -> Any:
        source = await apayload_source(own, facts(0), request)
        return (await aadmit(guard, own, facts(0), source)).decision.error  # type: ignore[union-attr]

    async def errors() -> list[Any]:
        return [await error_of({"total": 7}), await error_of({"total": 20_000}), await error_of({})]

    allowed, denied, unusable = asyncio.run(errors())
    assert (allowed, type(denied), type(unusable)) == (None, SupervisorBlocked, PayloadUnusable)


@pytest.mark.parametrize("mode", [None, "shadow", "enforce"])
def test_a_rule_s_own_mode_wins(tmp_path: Path, mode: str | None) -> None:
    guard = Guard(settings(tmp_path, mode="shadow", actions={"transfer": {"mode": "enforce"}}))
    rule = RouteRule("/x", "refund", payload=["body.amount"], mode=mode)
    assert enforces(guard, rule) is (mode == "enforce")
    assert enforces(guard, "transfer")
    assert (ask(guard, rule, facts(20_000)).decision is None) is (mode != "enforce")
    guard.close()


def test_a_rule_has_its_own_sampling_key(tmp_path: Path) -> None:
    guard = Guard(settings(tmp_path, mode="sample", sample_percent=50))
    by_tenant = RouteRule("/x", "refund", payload=["body.amount"], sample_key="query.tenant")
    by_call = RouteRule("/x", "refund", payload=["body.amount"], sample_key=lambda action, payload: "one")
    for rule, query in ((by_tenant, (("tenant", "acme"),)), (by_call, ())):
        buckets = {
            ask(guard, rule, facts(amount, user=f"u-{amount}", query=query)).action.sample_bucket
            for amount in range(20)
        }
        assert len(buckets) == 1
    # Leaving the key out must not be a way to leave the sample.
    assert ask(guard, by_tenant, facts(1)).action.sample_bucket == 0
    guard.close()


def test_plain_guarded_calls_inside_the_request_know_it_and_may_use_its_approval(tmp_path: Path) -> None:
    from engine import default_guard

    with default_guard(settings(tmp_path)) as guard:
        with serving(facts(0)), pytest.raises(SupervisorReviewPending) as caught:
            guarded("refund", {"amount": 2_000}, lambda: None)
        case = caught.value.action_id
        approve(guard, case)
        with serving(facts(0), case):
            assert guarded("refund", {"amount": 2_000}, lambda: "done") == "done"
        assert {(row.route, row.subject) for row in rows(guard)} == {("POST /refunds/{order_id}", "u-1")}


def test_an_approval_around_a_request_is_not_the_request_s(guard: Guard) -> None:
    from supervisor_guards import approved

    case = ask(guard, RULE, facts(2_000)).decision.error.action_id
    approve(guard, case)
    with approved(case):
        assert isinstance(ask(guard, RULE, facts(2_000)).decision.error, SupervisorReviewPending)


def test_the_state_of_a_request_holds_its_decisions(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    state = RequestState(("refund", "transfer"))
    scope = {STATE_KEY: state}
    state.add(ask(guard, RULE, facts(7)))
    assert get_state(dict(scope)) is state
    assert get_state({}) is None
    assert state.missing() == ("transfer",)
    assert state.decision("refund") is state.decision()
    assert state.decision("transfer") is None

    wire = Tripwire()
    assert wire.check(state, ("refund",), "POST /refunds")
    with caplog.at_level(logging.ERROR, "supervisor_guards"):
        assert not wire.check(state, ("refund", "transfer"), "POST /refunds")
        assert not wire.check(None, ("refund",), "POST /refunds")
    assert wire.guard_bypass_total == 2
    assert [record.actions for record in caplog.records] == [("transfer",), ("refund",)]  # type: ignore[attr-defined]
