"""Shadow with a service: the caller only copies and queues; a background thread sends in batches, and loses nothing
that there is room and time for."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor_guards import supervised
from tests.remote.peers import APP_ID, SECRET, OurService, PlainService, Reply
from tests.remote.serving import by_amount, guarded_by

SERVICES = [PlainService, OurService]
SHADOW: dict[str, Any] = {"enforcement_mode": "shadow"}


@pytest.mark.parametrize("service", SERVICES)
def test_what_enforce_would_have_said_is_asked_in_the_background(service: type[PlainService]) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url, **SHADOW) as guard:
        events: list[Any] = []
        guard.add_hook(events.append)
        for amount in (1, 50, 500):
            assert guard.check("refund", {"amount": amount}).allowed
        assert guard.flush(60)
        assert guard.stats().by_would_have == {"allow": 1, "review": 1, "deny": 1}
    assert [event.would_have for event in events] == ["allow", "review", "deny"]
    assert [asked.shadow for asked in peer.asked] == [True] * 3
    assert peer.cases == []


def test_a_thousand_calls_are_a_few_requests() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, **SHADOW) as guard:
        for number in range(1_000):
            guard.check("refund", {"amount": number})
        assert guard.flush(60)
        assert sum(peer.batches()) == 1_000
        assert max(peer.batches()) == 100
        assert len({asked.id for asked in peer.asked}) == 1_000
        assert guard.stats().dropped == 0


@pytest.mark.parametrize("service", SERVICES)
def test_an_outage_delays_what_was_queued(service: type[PlainService], caplog: pytest.LogCaptureFixture) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url, **SHADOW) as guard:
        peer.kill()
        for number in range(20):
            guard.check("refund", {"amount": number})
        assert not guard.flush(0.3)
        assert guard.stats().dropped == 0
        peer.start()
        assert guard.flush(60)
        assert sorted(asked.payload["amount"] for asked in peer.asked) == list(range(20))
        assert guard.stats().waiting == 0
    told = [record for record in caplog.records if "wait in memory" in record.message]
    assert len(told) == 1  # when it begins, not for each attempt
    assert told[0].levelno == logging.WARNING
    assert peer.base_url in told[0].message


def test_memory_is_bounded_and_what_had_no_room_is_counted() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, queue_size=50, **SHADOW) as guard:
        peer.kill()
        for number in range(500):
            guard.check("refund", {"amount": number})
        assert guard.stats().waiting <= 50
        peer.start()
        assert guard.flush(60)
        counted = guard.stats()
    assert counted.dropped >= 400
    assert len(peer.asked) + counted.dropped == 500


def test_an_action_that_ran_unjudged_is_told_when_the_service_is_back() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, on_unavailable="fail_open") as guard:
        peer.kill()
        refund = supervised("refund")(lambda amount: amount)
        assert refund(500) == 500
        assert guard.stats().unavailable == 1
        peer.start()
        assert guard.flush(60)
    (asked,) = peer.asked
    assert (asked.shadow, asked.fields["status"], asked.fields["result"]) == (True, "unavailable", "returned")


@pytest.mark.parametrize("together", [True, False])
def test_how_an_action_ended_is_told(together: bool) -> None:
    def refund(amount: int) -> int:
        if amount == 2:
            raise LookupError
        return amount

    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        if not together:
            peer.capabilities = tuple(name for name in peer.capabilities if name != "results")
        guarded = supervised("refund")(refund)
        guarded(1)
        with pytest.raises(LookupError):
            guarded(2)
        assert guard.flush(60)
        by_id = {asked.id: asked.payload["amount"] for asked in peer.asked}
        assert {by_id[action_id]: result for action_id, result in peer.results.items()} == {1: "returned", 2: "raised"}


def test_a_refused_action_of_a_batch_costs_its_row_alone() -> None:
    from tests.remote.peers import Refused

    def policy(question: Any) -> str:
        if question.action_type == "odd":
            raise Refused(403, "scope 'odd' not granted")
        return "allow"

    for service in SERVICES:
        with service(policy) as peer, guarded_by(peer.base_url, **SHADOW) as guard:
            for name in ("refund", "odd", "payment"):
                guard.check(name, {"amount": 1})
            assert guard.flush(60)
            assert guard.stats().by_would_have == {"allow": 2, "unknown": 1}
            assert guard.stats().dropped == 0
            assert len(peer.asked) == 2


def test_a_batch_that_the_service_refuses_as_a_whole_is_halved(caplog: pytest.LogCaptureFixture) -> None:
    def too_much(request: Any) -> Any:
        if b'"poison"' in request.body:
            return Reply.of({"detail": "unprocessable"}, 422)
        return None

    with OurService(by_amount) as peer, guarded_by(peer.base_url, **SHADOW) as guard:
        peer.fault = too_much
        for number in range(50):
            guard.check("poison" if number == 20 else "refund", {"amount": 1})
        assert guard.flush(60)
        assert guard.stats().by_would_have == {"allow": 49, "unknown": 1}
    (line,) = [record.message for record in caplog.records if "was not judged" in record.message]
    assert "poison" in line
    assert "422" in line


def test_large_payloads_make_smaller_batches() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, **SHADOW) as guard:
        for _ in range(60):
            guard.check("refund", {"amount": 1, "note": "x" * 60_000})
        assert guard.flush(60)
        sizes = [len(request.body) for request in peer.requests if request.path.endswith("/batch")]
        assert sum(peer.batches()) == 60
        assert max(sizes) <= 1_100_000


@pytest.mark.parametrize("way", ["close", "aclose"])
def test_closing_sends_what_is_queued(way: str) -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, **SHADOW) as guard:
        for number in range(250):
            guard.check("refund", {"amount": number})
        if way == "close":
            guard.close(timeout=60)
        else:
            anyio.run(guard.aclose, 60)
        assert sum(peer.batches()) == 250


ENDING = """
    from supervisor_guards import configure, supervised

    configure({base_url!r}, {app_id!r}, {secret!r})
    refund = supervised("refund")(lambda amount: amount)
    for amount in range(120):
        refund(amount)
    print("done")
"""


@pytest.mark.parametrize("up", [True, False])
def test_the_end_of_a_process_sends_what_is_queued_and_waits_for_nobody(up: bool, tmp_path: Path) -> None:
    with OurService(by_amount) as peer:
        if not up:
            peer.hold()
        script = tmp_path / "ending.py"
        values = {"base_url": peer.base_url, "app_id": APP_ID, "secret": SECRET}
        script.write_text(textwrap.dedent(ENDING).format(**values))
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "done\n")
        assert len({asked.id for asked in peer.asked}) == (120 if up else 0)
        if not up:
            assert "not recorded" in done.stderr


CALLER = """
    import sys, threading

    from supervisor_guards import configure, get_guard, supervised

    configure({base_url!r}, {app_id!r}, {secret!r})
    refund = supervised("refund")(lambda amount: amount)
    refund(0)
    assert get_guard().flush(60)
    caller, seen = threading.get_ident(), []

    def hook(event, arguments):
        if threading.get_ident() == caller and watching:
            seen.append(event)

    watching = False
    sys.addaudithook(hook)
    watching = True
    for amount in range(1, 101):
        refund(amount)
    watching = False
    print(seen)
    assert get_guard().flush(60)
"""


def test_the_caller_opens_sends_and_reads_nothing(tmp_path: Path) -> None:
    """Python's own audit events tell of sockets, files, threads and processes."""
    with OurService(by_amount) as peer:
        script = tmp_path / "caller.py"
        values = {"base_url": peer.base_url, "app_id": APP_ID, "secret": SECRET}
        script.write_text(textwrap.dedent(CALLER).format(**values))
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
        assert sum(peer.batches()) == 101


def test_a_hanging_service_holds_no_caller() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url, **SHADOW) as guard:
        peer.hold()
        callers = [
            threading.Thread(target=lambda: [guard.check("refund", {"amount": n}) for n in range(100)])
            for _ in range(10)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
        assert not any(caller.is_alive() for caller in callers)
        assert len(peer.asked) == 0
        peer.release()
        assert guard.flush(60)
        assert len({asked.id for asked in peer.asked}) == 1_000
