"""The desk at a plain version 1 service, which searches nothing, and at one that fails."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor_guards import SupervisorUnavailable
from supervisor_guards._desk import DecisionQuery, NoDesk, Principal, ReviewNotFound, ReviewQuery
from tests.remote.peers import ADMIN_TOKEN, ANSWERS, PlainService
from tests.remote.serving import by_amount, guarded_by

BOB = Principal("bob")


def test_a_plain_service_is_searched_in_what_it_lists() -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        ids = [guard.check("refund", {"amount": amount}, on_review="fail_closed").action_id for amount in (1, 50, 60)]
        desk = guard.desk()
        assert [row.action_id for row in desk.find_decisions(DecisionQuery()).rows] == ids[::-1]
        first = desk.find_decisions(DecisionQuery(outcome="review"), 1)
        second = desk.find_decisions(DecisionQuery(outcome="review"), 1, first.cursor)
        assert [row.action_id for row in (*first.rows, *second.rows)] == ids[:0:-1]
        assert second.cursor is None
        found = desk.find_reviews(ReviewQuery(status="pending"), oldest_first=True)
        assert [case.action_id for case in found.rows] == ids[1:]
        assert found.rows[0].payload is not None
        first_case = desk.queue(ReviewQuery(), 1)
        rest = desk.queue(ReviewQuery(), 1, first_case.cursor)
        assert [case.action_id for case in (*first_case.rows, *rest.rows)] == ids[1:]
        assert rest.cursor is None
        assert (desk.waiting(), desk.choices().action_types) == (2, ("refund",))
        span = desk.span()
        assert span is not None
        assert desk.recorded([(span[0], span[1] + 1), (0, 1)]) == [True, False]
        assert desk.review(ids[1]).status == "pending"
        decision = desk.decision(ids[1])
        assert decision is not None
        assert (decision.outcome, decision.reasons) == ("review", ("look-at-50",))
        assert desk.decision("none") is None
        with pytest.raises(ReviewNotFound):
            desk.review("none")


def test_the_queue_of_a_plain_service_is_in_the_order_of_what_priorities_it_tells() -> None:
    told: list[Any] = ["normal", "P0", "low", 7, "urgent", None, "high", "urgent"]
    with PlainService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        ids = [
            guard.check("refund", {"amount": 50, "priority": one}, on_review="fail_closed").action_id for one in told
        ]
        desk = guard.desk()
        found = desk.queue(ReviewQuery()).rows
        assert [ids.index(case.action_id) for case in found] == [4, 7, 6, 0, 1, 3, 5, 2]
        assert [case.priority for case in found] == ["urgent", "urgent", "high", *["normal"] * 4, "low"]
        assert [ids.index(case.action_id) for case in desk.queue(ReviewQuery(priority="urgent")).rows] == [4, 7]


def test_a_reviewers_token_decides_at_a_plain_service() -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url, reviewer_token=ADMIN_TOKEN) as guard:
        action_id = guard.check("refund", {"amount": 50}, on_review="fail_closed").action_id
        desk = guard.desk()
        with pytest.raises(NoDesk, match="abandons no reviews"):
            desk.abandon(action_id, BOB)
        state = desk.resolve(action_id, "approved", "fine", BOB)
        assert (state.status, state.notes, "bob" in str(state.approver)) == ("approved", "fine", True)
        assert desk.waiting() == 0


@pytest.mark.parametrize("answer", ["garbage", "reset", "500"])
def test_a_service_that_fails_is_told_without_the_token(answer: str) -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url, reviewer_token=ADMIN_TOKEN) as guard:
        action_id = guard.check("refund", {"amount": 50}, on_review="fail_closed").action_id
        peer.fault = ANSWERS[answer]
        desk = guard.desk()
        for ask in (
            desk.waiting,
            desk.span,
            lambda: desk.find_decisions(DecisionQuery()),
            lambda: desk.resolve(action_id, "approved", None, BOB),
        ):
            with pytest.raises(SupervisorUnavailable) as caught:
                ask()
            assert ADMIN_TOKEN not in str(caught.value)


def test_the_breaker_stands_in_front_of_the_desk() -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url, breaker_failures=1, breaker_seconds=60.0) as guard:
        peer.kill()
        for words in ("could not be reached", "was not asked"):
            with pytest.raises(SupervisorUnavailable, match=words):
                guard.desk().waiting()
