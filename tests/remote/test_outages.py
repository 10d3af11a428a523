"""A service that hangs, comes back, restarts or cuts connections: callers wait no longer than they must."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import certifi
import pytest

from supervisor_guards import Guard, SupervisorUnavailable
from supervisor_guards._model import Decision
from tests.remote.peers import OurService, PlainService
from tests.remote.peers.faults import ANSWERS
from tests.remote.peers.sockets import Line
from tests.remote.serving import by_amount, guarded_by

SERVICES = [PlainService, OurService]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("service", SERVICES)
def test_a_hung_service_costs_each_of_1000_calls_a_deadline_at_most(service: type[PlainService]) -> None:
    """Each of 50 threads would wait 20 deadlines, 40 s; the breaker makes it one, and lets them in again."""
    with (
        service(by_amount) as peer,
        guarded_by(peer.base_url, evaluate_timeout_seconds=2.0, breaker_seconds=0.5) as guard,
    ):
        peer.hold()
        found: list[Decision] = []

        def calls() -> None:
            found.extend(guard.check("refund", {"amount": 1}) for _ in range(20))

        threads = [threading.Thread(target=calls) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 1000
        assert not any(decision.allowed for decision in found)
        assert {type(decision.error) for decision in found} == {SupervisorUnavailable}
        asked_in_vain = sum("was not asked" in str(decision.error) for decision in found)
        assert asked_in_vain > 800
        peer.release()
        recovered = threading.Event()

        def until_it_answers() -> None:
            while not guard.check("refund", {"amount": 1}).allowed:
                time.sleep(0.05)  # as a caller that tries again would
            recovered.set()

        caller = threading.Thread(target=until_it_answers)
        caller.start()
        assert recovered.wait(30)
        caller.join()
        assert guard.stats().breaker == "closed"


@pytest.mark.parametrize("service", SERVICES)
def test_a_connection_that_was_cut_while_idle_costs_no_decision(service: type[PlainService]) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url) as guard:
        for _ in range(3):
            assert guard.check("refund", {"amount": 1}).allowed
            peer.cut()
    assert len(peer.asked) == 3


@pytest.mark.parametrize("way", ["sync", "async"])
def test_an_answer_too_many_is_no_answer_to_the_next_question(way: str) -> None:
    """Without an id of ours in it, nothing else tells whose it is."""
    answer = b'{"action_id": "a-1", "decision": "allow", "reasons": []}'
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer)

    def twice(line: Line) -> None:
        line.send(whole + whole)
        line.pause()

    doubled = iter([twice])
    with PlainService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        peer.fault = lambda request: next(doubled, None)  # type: ignore[assignment,return-value]

        async def both() -> list[Decision]:
            return [await guard.acheck("refund", {"amount": amount}) for amount in (1, 500)]

        if way == "sync":
            found = [guard.check("refund", {"amount": amount}) for amount in (1, 500)]
        else:
            found = anyio.run(both)
    assert [decision.allowed for decision in found] == [True, False]
    assert found[1].reasons == ("too-much-500",)


def test_a_connection_that_breaks_is_tried_again_with_the_same_id() -> None:
    broken = iter([ANSWERS["reset"]])
    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        peer.fault = lambda request: next(broken, lambda _: None)(request)  # type: ignore[arg-type,return-value]
        decision = guard.check("refund", {"amount": 1})
    assert decision.allowed
    ids = [request.json()["items"][0]["id"] for request in peer.requests if request.path.endswith("/batch")]
    assert ids == [decision.action_id] * 2


def test_a_plain_service_is_never_asked_twice() -> None:
    broken = iter([ANSWERS["reset"]])
    with PlainService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        peer.fault = lambda request: next(broken, lambda _: None)(request)  # type: ignore[arg-type,return-value]
        decision = guard.check("refund", {"amount": 1})
        asked = peer.count("POST /v1/actions/evaluate")
    assert isinstance(decision.error, SupervisorUnavailable)
    assert asked == 1


def test_an_action_may_have_a_deadline_of_its_own() -> None:
    own: dict[str, Any] = {"refund": {"evaluate_timeout_seconds": 0.05}}
    with OurService(by_amount) as peer, guarded_by(peer.base_url, actions=own) as guard:
        guard.check("refund", {"amount": 1})
        peer.hold()
        assert isinstance(guard.check("refund", {"amount": 1}).error, SupervisorUnavailable)
        waiting: list[Decision] = []
        caller = threading.Thread(target=lambda: waiting.append(guard.check("payment", {"amount": 1})))
        caller.start()
        peer.wait_for(lambda: b'"payment"' in peer.wire)
        peer.release()
        caller.join()
    assert waiting[0].allowed


def test_who_left_with_an_impatient_caller_asks_again() -> None:
    own: dict[str, Any] = {"impatient": {"evaluate_timeout_seconds": 0.2}}
    with OurService(by_amount) as peer, guarded_by(peer.base_url, actions=own, max_connections=1) as guard:

        async def main() -> dict[str, Decision]:
            found: dict[str, Decision] = {}

            async def one(name: str) -> None:
                found[name] = await guard.acheck(name, {"amount": 1})

            peer.hold()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one, "impatient")  # leads: capabilities, then a batch with the other
                tasks.start_soon(one, "patient")
                while "impatient" not in found:
                    await anyio.sleep(0.01)
                peer.release()
            return found

        found = anyio.run(main)
    assert isinstance(found["impatient"].error, SupervisorUnavailable)
    assert found["patient"].allowed


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelling_the_caller_that_asks_fails_nobody_else(backend: str) -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, max_connections=1) as guard:

        async def main() -> list[Decision]:
            found: list[Decision] = []
            first = anyio.CancelScope()

            async def leader() -> None:
                with first:
                    await guard.acheck("leader", {"amount": 1})

            async def one() -> None:
                found.append(await guard.acheck("refund", {"amount": 1}))

            await guard.acheck("refund", {"amount": 1})
            peer.hold()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(leader)
                await anyio.to_thread.run_sync(peer.wait_for, lambda: b'"leader"' in peer.wire)
                tasks.start_soon(one)
                tasks.start_soon(one)
                await anyio.sleep(0)
                first.cancel()
                peer.release()
            return found

        found = anyio.run(main, backend=backend)
    assert [decision.allowed for decision in found] == [True, True]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_caller_that_is_cancelled_in_the_queue_takes_no_connection_with_it(
    service: type[PlainService], backend: str
) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url, max_connections=1) as guard:

        async def main() -> list[Decision]:
            found: list[Decision] = []

            async def one(action: str = "refund") -> None:
                found.append(await guard.acheck(action, {"amount": 1}))

            await one()
            peer.hold()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one, "leader")
                await anyio.to_thread.run_sync(peer.wait_for, lambda: b'"leader"' in peer.wire)
                for cancelled in (anyio.CancelScope(), anyio.CancelScope()):
                    async with anyio.create_task_group() as queued:
                        queued.start_soon(_within, cancelled, one)
                        await anyio.wait_all_tasks_blocked()
                        cancelled.cancel()
                peer.release()
            await one()
            return found

        found = anyio.run(main, backend=backend)
    assert [decision.allowed for decision in found] == [True, True, True]


def test_a_connection_that_cannot_even_be_prepared_takes_no_place(tmp_path: Path) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_text("nothing of that kind")
    with guarded_by("https://127.0.0.1:9", ca_file=str(authorities), max_connections=1) as guard:
        said = [str(guard.check("refund", {"amount": 1}).error) for _ in range(3)]
        assert all("certificate" in one for one in said)
        authorities.write_bytes(Path(certifi.where()).read_bytes())
        assert "could not be reached" in str(guard.check("refund", {"amount": 1}).error)


def test_a_service_of_another_version_is_asked_what_it_offers_again() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        assert guard.check("refund", {"amount": 1}).allowed
        peer.capabilities = ()  # the former version is back: no batches
        guard.check("refund", {"amount": 1})
        assert guard.check("refund", {"amount": 1}).allowed


def test_the_breaker_is_seen_from_outside(guard_down: Guard) -> None:
    assert guard_down.stats().breaker == "closed"
    for _ in range(3):
        guard_down.check("refund", {"amount": 1})
    assert guard_down.stats().breaker == "open"


async def _within(scope: anyio.CancelScope, call: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await call()


@pytest.fixture
def guard_down() -> Any:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url, breaker_failures=3, breaker_seconds=60) as guard:
        peer.kill()
        yield guard
