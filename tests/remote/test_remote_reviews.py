"""Waiting for a person at a service: one case is asked for, restarts are survived, cancellation ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervisor_guards import (
    ApprovalInvalid,
    ApprovalUsed,
    Guard,
    ReviewRejected,
    ReviewTimedOut,
    approved,
)
from supervisor_guards._model import Decision
from tests.remote.peers import OurService, PlainService
from tests.remote.serving import by_amount, guarded_by

SERVICES = [PlainService, OurService]
HELD = {"amount": 50}


def asked(guard: Guard, way: str, payload: Any = HELD) -> Decision:
    """`Guard.check` in one of three ways."""
    if way == "sync":
        return guard.check("refund", payload)

    async def main() -> Decision:
        return await guard.acheck("refund", payload)

    return anyio.run(main, backend=way)


def meanwhile(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


@pytest.mark.parametrize("way", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_a_call_waits_for_the_person(service: type[PlainService], decision: str, way: str) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url) as guard:
        person = meanwhile(lambda: peer.resolve(peer.next_case().action_id, decision, "because"))
        found = asked(guard, way)
        person.join()
    if decision == "approved":
        assert found.allowed
    else:
        assert isinstance(found.error, ReviewRejected)
        assert found.error.reasons == ["look-at-50", "review-rejected", "because"]


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_deciding_is_a_deny_that_says_so(service: type[PlainService]) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url, review_timeout_seconds=0.1) as guard:
        assert isinstance(guard.check("refund", HELD).error, ReviewTimedOut)


@pytest.mark.parametrize("service", SERVICES)
def test_a_restart_of_the_service_in_the_middle_is_survived(service: type[PlainService]) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url) as guard:

        def restart() -> None:
            action_id = peer.next_case().action_id
            peer.wait_for(lambda: any(name.startswith("GET /v1/review-cases") for name in peer.counts))
            peer.kill()
            peer.start()
            peer.resolve(action_id, "approved")

        person = meanwhile(restart)
        assert guard.check("refund", HELD).allowed
        person.join()


def test_a_long_poll_asks_once_for_one_case() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:

        def decide() -> None:
            peer.wait_for(lambda: peer.count("GET /v1/review-cases") == 1)
            peer.resolve(peer.next_case().action_id, "approved")

        person = meanwhile(decide)
        decision = guard.check("refund", HELD)
        person.join()
    assert decision.allowed
    (question,) = [request for request in peer.requests if request.path == "/v1/review-cases"]
    assert question.query["action_id"] == decision.action_id
    assert float(question.query["wait"]) > 1


def test_of_a_plain_services_history_only_the_newest_is_read() -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        for _ in range(300):
            peer.judge(peer_question(peer))
            peer.resolve(peer.cases[-1].action_id, "approved")

        def decide() -> None:
            case = peer.next_case(300)
            peer.wait_for(lambda: peer.count(f"GET /v1/review-cases/{case.id}") >= 2)
            peer.resolve(case.action_id, "approved")

        person = meanwhile(decide)
        assert guard.check("refund", HELD).allowed
        person.join()
    lists = [request.query["status"] for request in peer.requests if request.path == "/v1/review-cases"]
    assert lists == ["pending"]


def peer_question(peer: PlainService) -> Any:
    from tests.remote.peers import APP_ID, Asked

    return Asked("refund", dict(HELD), False, False, None, APP_ID)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("service", SERVICES)
def test_cancelling_a_wait_ends_it_and_holds_no_thread(service: type[PlainService], backend: str) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url, review_poll_interval_seconds=60.0) as guard:

        async def main() -> list[str]:
            before = set(threading.enumerate())
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(guard.acheck, "refund", HELD)
                await anyio.to_thread.run_sync(peer.wait_for, lambda: peer.count("GET /v1/review-cases") >= 20)
                names = [thread.name for thread in set(threading.enumerate()) - before]
                tasks.cancel_scope.cancel()
            return [name for name in names if name.startswith(("AnyIO", "Trio"))]

        assert len(anyio.run(main, backend=backend)) <= 1  # the one this test waits in
        assert guard.check("refund", {"amount": 1}).allowed


def test_an_approval_is_used_once_and_for_what_was_approved() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, default_on_review="fail_closed") as guard:
        action_id = guard.check("refund", HELD).action_id
        with approved(action_id):
            pending = guard.check("refund", HELD).error
            peer.resolve(action_id, "approved")
            other = guard.check("refund", {"amount": 51}).error
            denied = guard.check("refund", {"amount": 500})
            first = guard.check("refund", HELD)
            second = guard.check("refund", HELD).error
    assert isinstance(pending, ApprovalInvalid)
    assert pending.reasons == ["pending"]
    assert isinstance(other, ApprovalInvalid)
    assert other.reasons == ["other-content"]
    assert not denied.allowed
    assert first.allowed
    assert isinstance(second, ApprovalUsed)


def test_a_plain_service_redeems_nothing_and_says_so_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url, default_on_review="fail_closed") as guard:
        action_id = guard.check("refund", HELD).action_id
        peer.resolve(action_id, "approved")
        with approved(action_id):
            refused = guard.check("refund", HELD).error
    assert isinstance(refused, ApprovalInvalid)
    assert refused.reasons == ["payload-too-large-to-approve"] or "approvals" in refused.reasons[0]
    (line,) = [record.message for record in caplog.records if "approved()" in record.message]
    assert peer.base_url in line


def test_one_approval_of_a_case_that_several_wait_for_is_one_execution() -> None:
    class Joining(OurService):
        """One open case for the same content."""

        def store(self, question: Any, ruling: Any) -> dict[str, Any]:
            answer = super().store(question, ruling)
            return {**answer, "action_id": self.cases[0].action_id} if self.cases else answer

    with Joining(by_amount) as peer, guarded_by(peer.base_url) as guard:
        found: list[Decision] = []
        callers = [meanwhile(lambda: found.append(guard.check("refund", HELD))) for _ in range(4)]
        peer.wait_for(lambda: len(peer.asked) == 4)
        peer.resolve(peer.cases[0].action_id, "approved")
        for caller in callers:
            caller.join()
    assert sorted(decision.allowed for decision in found) == [False, False, False, True]
    assert [type(decision.error) for decision in found if not decision.allowed] == [ApprovalUsed] * 3
