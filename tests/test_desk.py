"""Whoever decides a review goes through the desk: nobody approves their own, and the first decision stands."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from supervisor_guards._client import LocalClient
from supervisor_guards._config import GuardConfig
from supervisor_guards._context import observing
from supervisor_guards._guard import Guard
from supervisor_guards._model import ReviewState
from supervisor_guards.embedded.desk import NotAReviewer, OwnAction, Principal, ReviewDesk
from supervisor_guards.embedded.errors import ReviewNotFound, ReviewResolved
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.embedded.store import Store
from supervisor_guards.errors import SupervisorReviewPending

START = 1_800_000_000_000_000
HOUR = 3_600_000_000
BOB = Principal("bob")


def opened(store: Any, action_id: str = "a1", subject: str | None = "Ann", requester: str | None = "carl") -> None:
    row = DecisionRow(
        action_id=action_id, time=START, action_type="refund", subject=subject, mode="enforce", enforced=True,
        outcome="review", reasons=("large-refund",), payload='{"amount":900}', digest="d1",
    )  # fmt: skip
    store.write_with_review(row, START + HOUR, requester)


def test_the_desk_shows_what_the_store_keeps(any_store: Any) -> None:
    desk = ReviewDesk(any_store)
    for name in ("a1", "a2", "a3"):
        opened(any_store, name)
    desk.resolve("a2", "approved", None, BOB)
    assert [case.action_id for case in desk.reviews()] == ["a3", "a2", "a1"]
    newest = desk.reviews("pending", limit=1)
    assert [case.action_id for case in newest] == ["a3"]
    assert [case.action_id for case in desk.reviews("pending", before=newest[-1].id)] == ["a1"]
    case = desk.review("a1")
    assert (case.payload, case.reasons, case.subject, case.requester) == (
        '{"amount":900}', ("large-refund",), "Ann", "carl",
    )  # fmt: skip
    assert (case.status, desk.review("a2").status, desk.review("a2").approver) == ("pending", "approved", "bob")
    assert [row.action_id for row in desk.decisions(2, outcome="review")] == ["a3", "a2"]
    decision = desk.decision("a1")
    assert decision is not None
    assert decision.reasons == ("large-refund",)


def test_those_that_wait_longest_come_first_with_after(any_store: Any) -> None:
    names = [f"a{number}" for number in range(5)]
    for name in names:
        opened(any_store, name)
    desk = ReviewDesk(any_store)
    desk.resolve("a1", "rejected", None, BOB)
    first = desk.reviews("pending", 2, after=0)
    assert [case.action_id for case in first] == ["a0", "a2"]
    assert [case.action_id for case in desk.reviews("pending", 9, after=first[-1].id)] == ["a3", "a4"]
    assert desk.waiting() == 4


def test_a_review_is_found_by_how_its_id_begins(any_store: Any) -> None:
    for name in ("ab-1", "ab-2", "abc", "b"):
        opened(any_store, name)
    desk = ReviewDesk(any_store)
    assert [case.action_id for case in desk.reviews_named("ab-")] == ["ab-1", "ab-2"]
    assert len(desk.reviews_named("ab", limit=2)) == 2
    assert desk.reviews_named("c") == []


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_a_decision_is_kept_with_who_and_why(any_store: Any, decision: Any) -> None:
    opened(any_store)
    state = ReviewDesk(any_store).resolve("a1", decision, "called them", BOB)
    assert state == any_store.review("a1") == ReviewState("a1", decision, "bob", "called them")


@pytest.mark.parametrize(
    ("subject", "requester", "reviewer", "named"),
    [
        ("bob", None, BOB, "bob"),
        (None, "bob", BOB, "bob"),
        ("ann", "bob", BOB, "bob"),
        (" BOB ", None, BOB, "bob"),
        ("bob", None, Principal(" Bob\t"), " Bob\\t"),
        ("straße", None, Principal("STRASSE"), "STRASSE"),
        ("bob", None, Principal("ann (command line of bob)", known_as=("ann", "bob")), "bob"),
    ],
)
def test_nobody_approves_their_own(
    any_store: Any, subject: str | None, requester: str | None, reviewer: Principal, named: str
) -> None:
    opened(any_store, subject=subject, requester=requester)
    desk = ReviewDesk(any_store)
    with pytest.raises(OwnAction) as caught:
        desk.resolve("a1", "approved", None, reviewer)
    assert caught.value.status_hint == 403
    assert f"'{named}' asked for this action, and nobody approves their own" in str(caught.value)
    assert "a1" in str(caught.value)
    assert any_store.review("a1") == ReviewState("a1", "pending")
    desk.resolve("a1", "approved", None, Principal("somebody else"))


def test_rejecting_and_abandoning_one_s_own_is_allowed(any_store: Any) -> None:
    desk = ReviewDesk(any_store)
    for name in ("a1", "a2"):
        opened(any_store, name, subject="bob")
    assert desk.resolve("a1", "rejected", None, BOB).status == "rejected"
    assert desk.abandon("a2", BOB, "ordered twice") == ReviewState("a2", "abandoned", "bob", "ordered twice")


def test_who_may_not_review_decides_nothing(any_store: Any) -> None:
    opened(any_store)
    desk = ReviewDesk(any_store)
    reader = Principal("reader", may_review=False)
    for decide in (
        partial(desk.resolve, "a1", "approved", None, reader),
        partial(desk.resolve, "a1", "rejected", None, reader),
        partial(desk.abandon, "a1", reader),
    ):
        with pytest.raises(NotAReviewer, match="'reader' may not decide reviews") as caught:
            decide()
        assert caught.value.status_hint == 403
    assert any_store.review("a1").status == "pending"


def test_the_second_hears_who_was_first(any_store: Any) -> None:
    opened(any_store)
    desk = ReviewDesk(any_store)
    desk.resolve("a1", "rejected", None, BOB)
    for decide in (
        partial(desk.resolve, "a1", "approved", None, Principal("eve")),
        partial(desk.abandon, "a1", Principal("eve")),
    ):
        with pytest.raises(ReviewResolved, match="already rejected by bob at 2027-01-15 08:00:00 UTC"):
            decide()


def test_an_expired_review_and_an_unknown_one_can_t_be_decided(any_store: Any, store_clock: Any) -> None:
    opened(any_store)
    desk = ReviewDesk(any_store)
    store_clock.now += HOUR
    with pytest.raises(ReviewResolved, match="already expired at 2027-01-15 09:00:00 UTC"):
        desk.resolve("a1", "approved", None, BOB)
    for look in (
        partial(desk.review, "a9"),
        partial(desk.resolve, "a9", "approved", None, BOB),
        partial(desk.resolve, "a9", "rejected", None, BOB),
        partial(desk.abandon, "a9", BOB),
    ):
        with pytest.raises(ReviewNotFound, match="'a9'"):
            look()


def test_only_an_approval_or_a_rejection_resolves(any_store: Any) -> None:
    opened(any_store)
    with pytest.raises(ValueError, match="decision 'abandoned': choose approved or rejected"):
        ReviewDesk(any_store).resolve("a1", cast(Any, "abandoned"), None, BOB)
    assert any_store.review("a1").status == "pending"


def test_text_that_a_database_refuses_costs_no_decision(any_store: Any) -> None:
    opened(any_store)
    state = ReviewDesk(any_store).resolve("a1", "rejected", "no\0\udcff", Principal("bob\udcff"))
    assert (state.approver, state.notes) == ("bob?", "no\ufffd?")


@pytest.mark.parametrize("name", ["", " \t"])
def test_a_reviewer_has_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="name the person"):
        Principal(name)


def test_errors_survive_pickling() -> None:
    for error in (OwnAction("bob", "a1"), NotAReviewer("bob", "a1")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.reviewer) == (type(error), str(error), "bob")


def decided(desk: ReviewDesk, name: str, together: threading.Barrier) -> str | None:
    """None for who was first, else what the other hears."""
    together.wait()
    try:
        desk.resolve("a1", "approved", None, Principal(name))
    except ReviewResolved as error:
        return str(error)
    return None


@pytest.mark.parametrize("again", range(10))
def test_of_two_at_once_one_wins_and_the_other_hears_who(tmp_path: Path, again: int) -> None:
    store = Store(f"sqlite:///{tmp_path}/decisions.db", clock=lambda: START)
    desk, together = ReviewDesk(store), threading.Barrier(2)
    try:
        opened(store)
        with ThreadPoolExecutor(2) as pool:
            bob, eve = (pool.submit(decided, desk, name, together) for name in ("bob", "eve"))
        heard = {"bob": bob.result(), "eve": eve.result()}
        (winner,) = [name for name, said in heard.items() if said is None]
        (said,) = [said for said in heard.values() if said is not None]
        assert f"already approved by {winner} at 2027-01-15 08:00:00 UTC" in said
        assert store.review("a1").approver == winner
    finally:
        store.close()


def test_the_client_goes_through_the_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "supervisor.yaml"
    policy.write_text(
        "name: p\nversion: 1\naction: refund\nrules:\n- {id: large, when: payload.amount > 1, action: review}\n"
    )
    monkeypatch.chdir(tmp_path)
    guard = Guard(GuardConfig.load(enforcement_mode="enforce", default_on_review="fail_closed"))
    try:
        with observing(user_id="bob"), pytest.raises(SupervisorReviewPending) as caught:
            guard.require("refund", {"amount": 2})
        client = LocalClient(guard)
        with pytest.raises(OwnAction):
            client.resolve_review(caught.value.action_id, "approved", approver="Bob")
        answer = client.resolve_review(caught.value.action_id, "approved", notes="fine")
        assert (answer["status"], answer["approver"], answer["approver_notes"]) == ("approved", "local client", "fine")
    finally:
        guard.close()
