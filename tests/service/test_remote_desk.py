"""The desk of a remote supervisor at the service: what it shows, who may decide, and what it says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from supervisor_guards import Guard, observing
from supervisor_guards._desk import (
    DecisionQuery,
    NoDesk,
    NotAReviewer,
    OwnAction,
    Principal,
    ReviewNotFound,
    ReviewQuery,
    ReviewResolved,
)
from tests.service.serving import ADMIN_TOKEN, Caller, Running, new_name, payload
from tests.service.test_our_client import guard_of

BOB = Principal("bob")


def token_of(running: Running, role: str = "reviewer", **fields: Any) -> tuple[str, str]:
    """A new person's name, and a token of theirs."""
    name = new_name("rita")
    with running.admin() as http:
        person = http.post("/v1/people", json={"name": name, "role": role, **fields}).raise_for_status().json()
    return name, running.service.tokens.create(person["id"], "desk", "tests")[1]


@pytest.fixture
def guard(running: Running, shop: Caller) -> Iterator[Guard]:
    with guard_of(running, shop, reviewer_token=token_of(running)[1]) as made:
        yield made


def held(guard: Guard, amount: float = 50, **fields: Any) -> str:
    """The action id of a refund that waits for a person; `ann` asked for it."""
    with observing(user_id="ann"):
        return guard.check("refund", payload(amount, **fields)).action_id


def test_it_shows_what_the_service_stores(running: Running, guard: Guard) -> None:
    action_id = held(guard, 50, note="two\u202e shoes", number=new_name("n"))
    desk, store = guard.desk(), running.service.store
    shown, kept = desk.decision(action_id), store.decision(action_id)
    assert shown is not None
    assert kept is not None
    apart = {"id", "digest", "payload", "context"}
    for name in set(kept.__struct_fields__) - apart:
        assert (name, getattr(shown, name)) == (name, getattr(kept, name))
    case, stored = desk.review(action_id), store.case(action_id)
    for name in set(stored.__struct_fields__) - apart - {"segment"}:
        assert (name, getattr(case, name)) == (name, getattr(stored, name))
    assert "shoes" in str(case.payload)
    assert desk.decision("nothing\0\ud800/here") is None
    with pytest.raises(ReviewNotFound):
        desk.review("nothing/here")


def test_lists_are_searched_in_pages(running: Running, guard: Guard) -> None:
    number = new_name("n")
    ids = [held(guard, 50 + at, number=number, at=at) for at in range(5)]
    denied = guard.check("refund", payload(500, number=number)).action_id
    desk = guard.desk()
    own = ReviewQuery(status="pending", action_type="refund", since=desk.review(ids[0]).created_at)
    first = desk.find_reviews(own, 2, oldest_first=True)
    assert [case.action_id for case in first.rows] == ids[:2]
    rest = desk.find_reviews(own, 50, first.cursor, oldest_first=True)
    assert [case.action_id for case in rest.rows] == ids[2:]
    assert (rest.cursor, rest.complete) == (None, True)
    urgent = held(guard, 70, number=number, soon=True)
    assert desk.review(urgent).priority == "urgent"
    queue = desk.queue(own, 3)
    assert [case.action_id for case in queue.rows] == [urgent, *ids[:2]]
    assert [case.action_id for case in desk.queue(own, 50, queue.cursor).rows] == ids[2:]
    assert [case.action_id for case in desk.queue(ReviewQuery(priority="urgent", since=own.since)).rows] == [urgent]
    newest = desk.find_decisions(DecisionQuery(since=own.since, until=desk.review(urgent).created_at), 3)
    assert [row.action_id for row in newest.rows] == [denied, *ids[:2:-1]]
    older = desk.find_decisions(DecisionQuery(since=own.since), 3, newest.cursor)
    assert [row.action_id for row in older.rows] == ids[2::-1]
    assert [row.action_id for row in desk.find_decisions(DecisionQuery(outcome="deny"), 1).rows] == [denied]
    assert desk.find_decisions(DecisionQuery(), 1).cursor is not None
    assert [case.action_id for case in desk.find_reviews(ReviewQuery(text=ids[3])).rows] == [ids[3]]
    assert desk.waiting() >= 5
    assert {"cap", "look"} <= set(desk.choices().rules)
    span = desk.span()
    assert span is not None
    assert span[0] < span[1]
    since = own.since or 0
    long_ago = (60_000_000_000, 60_060_000_000)
    assert desk.recorded([long_ago, (since, since + 60_000_000)]) == [False, True]


@pytest.mark.parametrize("word", ["approved", "rejected", "abandoned"])
@pytest.mark.parametrize("whose", ["a person's", "the administrator's"])
def test_a_reviewers_token_decides_once(running: Running, shop: Caller, word: str, whose: str) -> None:
    name, token = token_of(running)
    if whose != "a person's":
        name, token = "admin token, claiming bob", ADMIN_TOKEN
    with guard_of(running, shop, reviewer_token=token) as guard:
        action_id, desk = held(guard, number=new_name("n")), guard.desk()
        assert desk.read_only is None

        def decide() -> Any:
            if word == "abandoned":
                return desk.abandon(action_id, BOB, "so")
            return desk.resolve(action_id, word, "so", BOB)  # type: ignore[arg-type]

        state = decide()
        assert (state.action_id, state.status, state.approver, state.notes) == (action_id, word, name, "so")
        with pytest.raises(ReviewResolved) as caught:
            decide()
        assert (caught.value.status, caught.value.approver) == (word, name)
        assert str(caught.value.resolved_at).endswith("UTC")
        with pytest.raises(ReviewNotFound):
            desk.resolve("none", "approved", None, BOB)


def test_nobody_approves_their_own(running: Running, shop: Caller) -> None:
    known, token = token_of(running, known_as=["ann"])
    with guard_of(running, shop, reviewer_token=token) as guard:
        action_id = held(guard, number=new_name("n"))
        for reviewer in (BOB, Principal("17 (ann)", known_as=("17", "ann"))):
            with pytest.raises(OwnAction):
                guard.desk().resolve(action_id, "approved", None, reviewer)
        assert guard.desk().review(action_id).status == "pending"
        assert guard.desk().resolve(action_id, "rejected", None, BOB).approver == known
    with guard_of(running, shop, reviewer_token=token_of(running)[1]) as guard:
        action_id = held(guard, number=new_name("n"))
        with pytest.raises(OwnAction):  # known here alone
            guard.desk().resolve(action_id, "approved", None, Principal("17 (ann)", known_as=("ann",)))
        with pytest.raises(NotAReviewer):
            guard.desk().resolve(action_id, "approved", None, Principal("carl", may_review=False))


def test_who_may_only_look_decides_nothing(running: Running, shop: Caller) -> None:
    with guard_of(running, shop, reviewer_token=token_of(running, "viewer")[1]) as guard:
        action_id, desk = held(guard, number=new_name("n")), guard.desk()
        assert desk.review(action_id).status == "pending"
        for decide in (
            lambda: desk.resolve(action_id, "approved", None, BOB),
            lambda: desk.abandon(action_id, BOB),
        ):
            with pytest.raises(NotAReviewer):
                decide()


def test_without_a_token_it_reads_its_own_and_says_why_it_decides_nothing(
    running: Running, shop: Caller, bank: Caller
) -> None:
    with guard_of(running, bank) as others:
        hidden = held(others, number=new_name("n"))
    with guard_of(running, shop) as guard:
        action_id, desk = held(guard, number=new_name("n")), guard.desk()
        assert "SUPERVISOR_REVIEWER_TOKEN" in str(desk.read_only)
        assert [case.action_id for case in desk.find_reviews(ReviewQuery()).rows] == [action_id]
        assert [row.action_id for row in desk.find_decisions(DecisionQuery()).rows] == [action_id]
        assert (desk.waiting(), desk.choices().action_types) == (1, ("refund",))
        assert desk.decision(hidden) is None
        with pytest.raises(NoDesk, match="SUPERVISOR_REVIEWER_TOKEN"):
            desk.resolve(action_id, "approved", None, BOB)
        with pytest.raises(NoDesk, match="SUPERVISOR_REVIEWER_TOKEN"):
            desk.abandon(action_id, BOB)


@pytest.mark.parametrize("token", ["sgr_of-nobody", "of-nobody"])
def test_a_token_that_is_not_in_force_is_told_and_not_shown(running: Running, shop: Caller, token: str) -> None:
    with guard_of(running, shop, reviewer_token=token) as guard:
        desk = guard.desk()
        for ask in (desk.waiting, desk.span, lambda: desk.decision("a"), lambda: desk.review("a")):
            with pytest.raises(NoDesk, match="SUPERVISOR_REVIEWER_TOKEN") as caught:
                ask()
            assert token not in f"{caught.value}{desk!r}"
