"""What leaves the process, and what a caller gets for what comes back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
import jwt
import pytest

from supervisor_guards import Guard, Outcome, PayloadUnusable, SupervisorBlocked, SupervisorUnavailable, observing
from supervisor_guards._context import Facts, acting
from supervisor_guards._model import Decision
from supervisor_guards._redaction import Redactor
from tests.remote.peers import APP_ID, SECRET, OurService, PlainService
from tests.remote.serving import by_amount, guarded_by
from tests.test_secrets_nowhere import PLACES, found

SERVICES = [PlainService, OurService]
Check = Callable[..., Decision]


@pytest.fixture(params=["sync", "asyncio", "trio"])
def check(request: pytest.FixtureRequest) -> Check:
    """`Guard.check` in each of three ways."""
    if request.param == "sync":
        return Guard.check

    def one(guard: Guard, action_type: str, payload: Any, **options: Any) -> Decision:
        async def main() -> Decision:
            return await guard.acheck(action_type, payload, **options)

        return anyio.run(main, backend=request.param)

    return one


@pytest.mark.parametrize("service", SERVICES)
def test_the_verdict_is_the_services(service: type[PlainService], check: Check) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url, default_on_review="fail_closed") as guard:
        allowed = check(guard, "refund", {"amount": 5})
        denied = check(guard, "refund", {"amount": 500})
        held = check(guard, "refund", {"amount": 50})
    assert (allowed.allowed, allowed.outcome, allowed.reasons) == (True, Outcome.ALLOW, ("fine-5",))
    assert isinstance(denied.error, SupervisorBlocked)
    assert (denied.error.decision, denied.error.reasons) == ("deny", ["too-much-500"])
    assert (held.allowed, held.outcome, held.reasons) == (False, Outcome.REVIEW, ("look-at-50",))
    assert [asked.payload["amount"] for asked in peer.asked] == [5, 500, 50]
    assert {decision.action_id for decision in (allowed, denied, held)} == set(peer.decisions)


def test_ours_gets_the_clients_id_digest_subject_and_route(check: Check) -> None:
    facts = Facts(subject="ann", route="POST /refunds", request={"method": "POST"}, tenant="shop-1")
    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        with acting(facts), observing(session_id="s-1", password="hunter2-hunter2"):
            decision = check(guard, "refund", {"amount": 1})
        check(guard, "refund", {"amount": 1})
        check(guard, "refund", {"amount": 2})
    first, again, other = peer.asked
    assert (first.id, first.subject, first.route) == (decision.action_id, "ann", "POST /refunds")
    assert (first.fields["tenant"], first.fields["request"]) == ("shop-1", {"method": "POST"})
    assert first.agent_context == {"session_id": "s-1", "password": {"__redacted__": True}}
    assert first.digest == again.digest != other.digest
    assert again.agent_context is None
    assert len({asked.id for asked in peer.asked}) == 3


def test_a_plain_service_gets_version_1_and_no_more() -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        with observing(session_id="s-1"):
            guard.check("refund", {"amount": 1})
        guard.check("refund", {"amount": 1})
        bodies = [request.json() for request in peer.requests if request.method == "POST"]
    plain = {"action_type": "refund", "payload": {"amount": 1}, "shadow": False}
    assert bodies == [{**plain, "agent_context": {"session_id": "s-1"}}, plain]


def test_the_token_is_signed_once_and_asked_for_is_what_was_set() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, scopes=("refund", "payment")) as guard:
        for amount in range(5):
            guard.check("refund", {"amount": amount})
    (token,) = {request.headers["authorization"] for request in peer.requests}
    claims = jwt.decode(token.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["scopes"], claims["exp"] - claims["iat"]) == (APP_ID, ["refund", "payment"], 300)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_no_piece_of_a_secret_is_on_the_wire_or_in_the_log(
    service: type[PlainService], mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "ZQ7XWJ9KVZ2QX4WV8J"
    payload = {name: place(secret) for name, place in PLACES.items()}
    caplog.set_level(logging.DEBUG)
    with service(by_amount) as peer, guarded_by(peer.base_url, enforcement_mode=mode) as guard:
        with observing(token=secret, note=f"pin={secret}"):
            guard.check("refund", {"amount": 1, **payload})
        assert guard.flush(60)
        assert [asked.payload["amount"] for asked in peer.asked] == [1]
    assert found(secret, peer.wire) is None
    assert found(secret, caplog.text) is None
    assert SECRET not in caplog.text
    assert SECRET.encode() not in peer.wire
    assert SECRET not in repr(guard.supervisor)
    assert SECRET not in repr(guard.config)


@pytest.mark.parametrize("way", ["enforce", "shadow"])
def test_a_payload_that_cannot_be_redacted_stays_here(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Redactor, value: Any, depth: int) -> Any:
        raise RuntimeError

    with OurService(by_amount) as peer, guarded_by(peer.base_url, enforcement_mode=way) as guard:
        monkeypatch.setattr(Redactor, "_mapping", broken)
        decision = guard.check("refund", {"amount": 1, "note": "a note"})
        assert guard.flush(60)
        counted = guard.stats()
    assert b"a note" not in peer.wire
    if way == "enforce":
        assert isinstance(decision.error, SupervisorUnavailable)
        assert "redacted" in str(decision.error)
    else:
        assert counted.by_would_have == {"unknown": 1}


UNUSABLE = [
    ({"amount": float("nan")}, "unreadable-for-a-plain-service", PlainService),
    ({"amount": 1, "note": "\ud800"}, "unreadable-for-a-plain-service", PlainService),
    ({"amount": 1, "note": "x" * 100_000}, "unreadable-for-a-plain-service", PlainService),
]


@pytest.mark.parametrize(("payload", "reason", "service"), UNUSABLE)
def test_what_a_plain_service_might_misread_is_refused(
    payload: Any, reason: str, service: type[PlainService], check: Check
) -> None:
    with service() as peer, guarded_by(peer.base_url, on_unavailable="fail_open") as guard:
        decision = check(guard, "refund", payload)
    assert isinstance(decision.error, PayloadUnusable)
    assert decision.error.reasons == [reason]


def test_an_address_may_have_a_path() -> None:
    class Below(PlainService):
        def routes(self) -> Any:
            return {(method, f"/guards/a{path}"): handler for (method, path), handler in super().routes().items()}

    with Below(by_amount) as peer, guarded_by(f"{peer.base_url}/guards/a/") as guard:
        assert guard.check("refund", {"amount": 1}).reasons == ("fine-1",)


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        assert guard.check("refund", {"amount": 1}).allowed


def test_callers_that_find_every_connection_busy_leave_together() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, max_connections=1) as guard:
        guard.check("refund", {"amount": 0})
        peer.hold()

        async def main() -> list[Decision]:
            decisions: list[Decision] = []

            async def one(amount: int) -> None:
                decisions.append(await guard.acheck("refund", {"amount": amount}))

            async with anyio.create_task_group() as tasks:
                for amount in range(1, 11):
                    tasks.start_soon(one, amount)
                await anyio.to_thread.run_sync(peer.wait_for, lambda: len(peer.batches()) == 2)
                peer.release()
            return decisions

        decisions = anyio.run(main)
    assert sorted(decision.reasons for decision in decisions) == sorted((f"fine-{n}",) for n in range(1, 11))
    assert peer.batches() == [1, 1, 9]


def test_one_refused_action_of_a_batch_fails_alone() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, max_connections=1) as guard:
        guard.check("refund", {"amount": 0})
        peer.hold()

        async def main() -> dict[str, Decision]:
            found: dict[str, Decision] = {}

            async def one(name: str, payload: Any) -> None:
                found[name] = await guard.acheck(name, payload)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one, "refund", {"amount": 1})
                await anyio.to_thread.run_sync(peer.wait_for, lambda: len(peer.batches()) == 2)
                tasks.start_soon(one, "payment", {"amount": 2})
                tasks.start_soon(one, "transfer", {"amount": 500})
                peer.release()
            return found

        found = anyio.run(main)
    assert [found[name].allowed for name in ("refund", "payment", "transfer")] == [True, True, False]
