"""Forks and event loops: each process, and each loop, has connections of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor_guards import Guard
from tests.remote.peers import APP_ID, SECRET, OurService, PlainService
from tests.remote.serving import by_amount, guarded_by

ROUNDS = 100
FORKS = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
"""From 3.12 on, Python warns of every fork beside a thread. These tests are about just that."""


def child(act: Callable[[], bool]) -> int:
    """Fork, run `act`, and end without cleaning up: exit status 0 where it was true."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        status = 0 if act() else 1
    finally:
        os._exit(status)


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@FORKS
@pytest.mark.parametrize("service", [PlainService, OurService])
def test_forked_children_never_get_each_others_verdict(service: type[PlainService]) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url) as guard:
        assert guard.check("refund", {"amount": 1}).reasons == ("fine-1",)  # warmed in the parent
        start, go = multiprocessing.Barrier(2), range(ROUNDS)

        def rounds(first: int) -> bool:
            signal.alarm(120)
            found = []
            for number in go:
                amount = first + number / 1000
                start.wait(60)  # both ask at the same moment
                found.append(guard.check("refund", {"amount": amount}).reasons == (f"fine-{amount}",))
            return all(found)

        pids = [child(lambda: rounds(2)), child(lambda: rounds(7))]
        assert [ended(pid) for pid in pids] == [0, 0]
        assert guard.check("refund", {"amount": 3}).reasons == ("fine-3",)
        assert len(peer.asked) == 2 * ROUNDS + 2


@FORKS
def test_the_parents_connection_outlives_a_child_that_ends() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        assert guard.check("refund", {"amount": 1}).allowed
        used = {request.connection for request in peer.requests}

        def act() -> bool:
            allowed = guard.check("refund", {"amount": 2}).allowed
            guard.close()
            return allowed

        assert ended(child(act)) == 0
        assert guard.check("refund", {"amount": 3}).allowed
        assert peer.requests[-1].connection in used
        assert peer.requests[-2].connection not in used


def test_event_loops_one_after_the_other() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        for number in range(5):
            decision = asyncio.run(guard.acheck("refund", {"amount": number}))
            assert decision.reasons == (f"fine-{number}",)
        assert anyio.run(guard.acheck, "refund", {"amount": 9}, backend="trio").allowed
        assert guard.check("refund", {"amount": 9}).allowed


def test_event_loops_beside_each_other() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:

        async def some(first: int) -> list[Any]:
            return [(await guard.acheck("refund", {"amount": first + n / 100})).reasons for n in range(20)]

        async def both() -> list[Any]:
            return await asyncio.gather(
                some(1), asyncio.to_thread(asyncio.run, some(3)), asyncio.to_thread(anyio.run, some, 5, backend="trio")
            )

        for first, found in zip((1, 3, 5), asyncio.run(both()), strict=True):
            assert found == [(f"fine-{first + n / 100}",) for n in range(20)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_closing_in_a_loop_closes_its_connections(backend: str) -> None:
    with OurService(by_amount) as peer:

        async def main() -> None:
            with guarded_by(peer.base_url) as guard:
                assert (await guard.acheck("refund", {"amount": 1})).allowed
                await guard.aclose()
                await guard.aclose()

        anyio.run(main, backend=backend)


GREENLETS = """
    from gevent import monkey

    monkey.patch_all()
    import gevent

    from supervisor_guards import Guard, GuardConfig

    guard = Guard(GuardConfig(
        base_url={base_url!r}, app_id={app_id!r}, shared_secret={secret!r}, enforcement_mode="enforce",
        evaluate_timeout_seconds=30.0,
    ))
    jobs = [gevent.spawn(guard.check, "refund", {{"amount": n / 10}}) for n in range(50)]
    gevent.joinall(jobs, timeout=60)
    assert [job.value.reasons for job in jobs] == [(f"fine-{{n / 10}}",) for n in range(50)]
    guard.close()
    print("all of them")
"""


def test_greenlets_share_connections(tmp_path: Path) -> None:
    with OurService(by_amount) as peer:
        script = tmp_path / "greenlets.py"
        values = {"base_url": peer.base_url, "app_id": APP_ID, "secret": SECRET}
        script.write_text(textwrap.dedent(GREENLETS).format(**values))
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
        assert (done.stdout, done.stderr) == ("all of them\n", "")
        assert sum(peer.batches()) == 50


def test_nothing_is_opened_before_the_first_question() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        assert isinstance(guard, Guard)
        assert guard.stats().breaker == "closed"
        assert peer.connections == 0
