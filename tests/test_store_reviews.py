"""A review is decided once and redeemed once, by whom and for what it was approved."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from supervisor_guards._model import ReviewState
from supervisor_guards.embedded.errors import ReviewNotFound, ReviewResolved
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.embedded.store import Store
from supervisor_guards.embedded.transitions import Claim
from supervisor_guards.errors import ApprovalInvalid, ApprovalUsed, SupervisorBlocked

START = 1_800_000_000_000_000
HOUR = 3_600_000_000
ROUTE = "/refunds"
APPROVED = Claim("d1", "user:7", "refund", ROUTE)


def opened(store: Any, action_id: str = "a1", expires_at: int = START + HOUR) -> None:
    row = DecisionRow(
        action_id=action_id, time=START, action_type="refund", route=ROUTE, subject="user:7",
        mode="enforce", enforced=True, outcome="review", reasons=("amount-needs-a-person",),
        payload='{"amount":900}', digest="d1",
    )  # fmt: skip
    store.write_with_review(row, expires_at, requester="ann")


def refusal(store: Any, action_id: str = "a1", digest: str = "d1", subject: str | None = "user:7") -> str:
    with pytest.raises(SupervisorBlocked) as caught:
        store.redeem(action_id, Claim(digest, subject, route=ROUTE))
    assert caught.value.action_id == action_id
    assert isinstance(caught.value, ApprovalUsed) == (caught.value.reasons[0] in ("used", "already-executed"))
    assert isinstance(caught.value, (ApprovalUsed, ApprovalInvalid))
    return caught.value.reasons[0]


def test_a_review_comes_with_its_decision(any_store: Any) -> None:
    opened(any_store)
    opened(any_store)
    [case] = any_store.reviews()
    assert (case.status, case.requester, case.subject, case.digest) == ("pending", "ann", "user:7", "d1")
    assert (case.created_at, case.expires_at, case.reasons) == (
        START,
        START + HOUR,
        ("amount-needs-a-person",),
    )
    assert (case.action_type, case.route, case.payload) == ("refund", "/refunds", '{"amount":900}')
    assert any_store.decision("a1").outcome == "review"
    assert any_store.totals(START)[0].review == 1
    assert any_store.review("a1") == ReviewState("a1", "pending")


def test_an_approval_is_redeemed_once(any_store: Any, store_clock: Any) -> None:
    opened(any_store)
    assert refusal(any_store) == "pending"
    state = any_store.resolve("a1", "approved", "bob", "checked by phone")
    assert state == any_store.review("a1") == ReviewState("a1", "approved", "bob", "checked by phone")
    store_clock.now += 5
    any_store.redeem("a1", APPROVED)
    assert refusal(any_store) == "used"
    [case] = any_store.reviews()
    assert (case.status, case.approver, case.resolved_at, case.used_at) == ("used", "bob", START, START + 5)


def test_an_approval_is_for_one_content_and_one_subject(any_store: Any) -> None:
    opened(any_store)
    any_store.resolve("a1", "approved", "bob")
    assert refusal(any_store, digest="d2") == "other-content"
    assert refusal(any_store, subject="user:8") == "other-subject"
    assert refusal(any_store, subject=None) == "other-subject", "an anonymous request"
    for claim, reason in (
        (Claim("d1", "user:7", route="/elsewhere"), "other-route"),
        (Claim("d1", "user:7", route=ROUTE, tenant="shop-2"), "other-tenant"),
        (Claim("d1", "user:7", "payment", ROUTE), "other-action"),
        (Claim("d2"), "other-content"),
    ):
        with pytest.raises(ApprovalInvalid) as caught:
            any_store.redeem("a1", claim)
        assert caught.value.reasons == [reason]
    assert refusal(any_store, action_id="a2") == "not-found"
    any_store.redeem("a1", APPROVED)


def test_what_a_request_asked_for_runs_later_outside_of_one(any_store: Any) -> None:
    opened(any_store)
    any_store.resolve("a1", "approved", "bob")
    any_store.redeem("a1", Claim("d1", action_type="refund"))
    assert refusal(any_store) == "used"


def test_a_refused_try_is_in_the_record_and_changes_nothing(any_store: Any) -> None:
    opened(any_store)
    assert refusal(any_store) == "pending"
    assert any_store.review("a1").status == "pending"
    any_store.resolve("a1", "approved", "bob")
    any_store.redeem("a1", APPROVED)


def test_a_stranger_does_not_learn_how_a_review_ended(any_store: Any) -> None:
    opened(any_store)
    any_store.resolve("a1", "rejected", "bob")
    assert refusal(any_store, subject="user:8") == "other-subject"
    assert refusal(any_store, digest="d2") == "other-content"
    assert refusal(any_store) == "rejected"


def test_an_abandoned_review_opens_nothing(any_store: Any) -> None:
    opened(any_store)
    any_store.resolve("a1", "abandoned", "ann")
    assert refusal(any_store) == "abandoned"


def test_reviews_expire_when_nobody_decides(any_store: Any, store_clock: Any) -> None:
    opened(any_store, "a1", START + 10)
    opened(any_store, "a2", START + HOUR)
    store_clock.now = START + 9
    assert any_store.review("a1").status == "pending"
    store_clock.now = START + 10
    assert refusal(any_store) == "expired"
    with pytest.raises(ReviewResolved, match="already expired") as caught:
        any_store.resolve("a1", "approved", "bob")
    assert caught.value.approver is None
    assert any_store.review("a1") == ReviewState("a1", "expired")
    assert [case.action_id for case in any_store.reviews("pending")] == ["a2"]
    store_clock.now = START + HOUR
    assert [case.status for case in any_store.reviews()] == ["expired", "expired"]
    assert [case.resolved_at for case in any_store.reviews()] == [START + HOUR, START + 10]


def test_an_approval_expires_with_its_review_unless_it_is_given_longer(any_store: Any, store_clock: Any) -> None:
    opened(any_store, "a1")
    opened(any_store, "a2")
    any_store.resolve("a1", "approved", "bob")
    any_store.resolve("a2", "approved", "bob", valid_until=START + 2 * HOUR)
    store_clock.now = START + HOUR
    assert refusal(any_store, "a1") == "expired"
    any_store.redeem("a2", APPROVED)


def test_the_second_reviewer_is_told_who_decided_what_and_when(any_store: Any) -> None:
    opened(any_store)
    any_store.resolve("a1", "rejected", "bob", "no")
    with pytest.raises(ReviewResolved) as caught:
        any_store.resolve("a1", "approved", "eve", "yes")
    assert str(caught.value) == "review already rejected by bob at 2027-01-15 08:00:00 UTC [action a1]"
    assert caught.value.status_hint == 409
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert any_store.review("a1") == ReviewState("a1", "rejected", "bob", "no")


def test_only_a_decision_resolves(any_store: Any) -> None:
    opened(any_store)
    with pytest.raises(ValueError, match=r"'used'.*approved, rejected, abandoned"):
        any_store.resolve("a1", "used", "bob")
    assert any_store.review("a1").status == "pending"


@pytest.mark.parametrize("before", ["pending", "approved", "rejected"])
def test_an_action_that_ran_leaves_nothing_to_redeem(any_store: Any, before: str) -> None:
    opened(any_store)
    if before != "pending":
        any_store.resolve("a1", before, "bob")
    assert any_store.mark_executed("a1").status == "executed"
    assert refusal(any_store) == "already-executed"
    with pytest.raises(ReviewResolved, match="already executed"):
        any_store.resolve("a1", "approved", "eve")


def test_a_used_approval_stays_used(any_store: Any) -> None:
    opened(any_store)
    any_store.resolve("a1", "approved", "bob")
    any_store.redeem("a1", APPROVED)
    assert any_store.mark_executed("a1").status == "used"


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.review("a9"),
        lambda store: store.resolve("a9", "approved", "bob"),
        lambda store: store.mark_executed("a9"),
    ],
)
def test_an_unknown_id_is_named(any_store: Any, ask: Callable[[Any], Any]) -> None:
    with pytest.raises(LookupError, match="'a9'") as caught:
        ask(any_store)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), ReviewNotFound)


def test_reviews_are_paged_newest_first(any_store: Any) -> None:
    for number in range(7):
        opened(any_store, f"a{number}")
    any_store.resolve("a3", "approved", "bob")
    seen, cursor = "", None
    while page := any_store.reviews("pending", limit=2, before=cursor):
        seen += "".join(case.action_id[1:] for case in page)
        cursor = page[-1].id
    assert seen == "654210"


def race(threads: int, work: Callable[[int], Any]) -> list[Any]:
    """What each of many threads that start at once got or raised."""
    start = threading.Barrier(threads)
    answers: list[Any] = [None] * threads

    def runner(number: int) -> None:
        start.wait()
        try:
            answers[number] = work(number)
        except Exception as error:
            answers[number] = error

    running = [threading.Thread(target=runner, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return answers


def test_of_many_threads_one_redeems(any_store: Any) -> None:
    opened(any_store)
    any_store.resolve("a1", "approved", "bob")
    answers = race(20, lambda number: any_store.redeem("a1", APPROVED))
    assert Counter(type(answer) for answer in answers) == {type(None): 1, ApprovalUsed: 19}


def test_of_many_stores_one_redeems_and_one_reviewer_decides(store_url: str) -> None:
    stores = [Store(store_url, clock=lambda: START) for _ in range(8)]
    opened(stores[0])
    resolved = race(8, lambda number: stores[number].resolve("a1", "approved", f"reviewer {number}"))
    [winner] = [answer for answer in resolved if isinstance(answer, ReviewState)]
    losers = [answer for answer in resolved if isinstance(answer, ReviewResolved)]
    assert {loser.approver for loser in losers} == {winner.approver}
    assert len(losers) == 7
    redeemed = race(8, lambda number: stores[number].redeem("a1", APPROVED))
    assert Counter(type(answer) for answer in redeemed) == {type(None): 1, ApprovalUsed: 7}
    for store in stores:
        store.close()


def shadowed(action_id: str) -> DecisionRow:
    return DecisionRow(
        action_id=action_id, time=START, action_type="refund", mode="shadow", enforced=False, outcome="allow"
    )


def test_threads_write_and_read_one_store(store_url: str) -> None:
    store = Store(store_url)

    def work(number: int) -> int:
        for batch in range(5):
            store.write([shadowed(f"{number}-{batch}-{item}") for item in range(20)])
            store.decisions(limit=5)
        return store.totals(START)[0].decisions

    answers = race(8, work)
    assert max(answers) == 800
    assert len(store.decisions(limit=1000)) == 800
    store.close()
