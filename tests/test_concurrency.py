"""Many callers at once: every decision belongs to its own call, and no row is lost."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from engine import FakeSupervisor, default_guard, rows, settings

from supervisor_guards import (
    Guard,
    SupervisorBlocked,
    get_guard,
    guarded,
    guarded_async,
    observing,
    supervised,
    supervised_async,
)
from supervisor_guards._model import Action, Hit, Outcome, Verdict
from supervisor_guards._payload import decode

THREADS = 32
CALLS = 1_000


def judged(action: Action) -> Verdict:
    """Denies what is odd, for a reason that names the call; checks that the context is the caller's."""
    payload = decode(action.snapshot)
    mine = action.context is not None and action.context["user_id"] == payload["user"]
    if payload["amount"] % 2 or not mine:
        reason = f"{payload['user']}:{payload['amount']}" if mine else "another caller's context"
        return Verdict(Outcome.DENY, (reason,), (Hit("odd", "deny", reason),), recorded=True)
    return Verdict(Outcome.ALLOW)


@supervised("refund")
def refund(user: str, amount: int) -> tuple[str, int]:
    return user, amount


@supervised_async("refund")
async def arefund(user: str, amount: int) -> tuple[str, int]:
    return user, amount


def plain(user: str, amount: int) -> tuple[str, int]:
    return user, amount


async def aplain(user: str, amount: int) -> tuple[str, int]:
    await asyncio.sleep(0)
    return user, amount


@supervised("refund", on_review="shadow")
def shadowed(user: str, amount: int) -> tuple[str, int]:
    return user, amount


def checked(user: str, amount: int) -> tuple[str, int]:
    decision = get_guard().check("refund", {"user": user, "amount": amount})
    if decision.error is not None:
        raise decision.error
    return user, amount


def imperative(user: str, amount: int) -> tuple[str, int]:
    return guarded("refund", {"user": user, "amount": amount}, plain, user, amount=amount)


WAYS = [refund, imperative, checked, shadowed]


def wrong(call: Any, user: str, amount: int) -> str | None:
    """What is wrong with the answer to one call; None when all of it is its own."""
    try:
        value = call(user, amount)
    except SupervisorBlocked as error:
        return None if error.reasons == [f"{user}:{amount}"] and amount % 2 else f"{error.reasons} for {user}:{amount}"
    refused = amount % 2 and call is not shadowed
    return None if value == (user, amount) and not refused else f"{value} for {user}:{amount}"


def thread(name: int, start: threading.Barrier, mistakes: list[str]) -> None:
    chance = random.Random(name)
    start.wait()
    with observing(user_id=f"u-{name}"):
        for _ in range(CALLS):
            if mistake := wrong(chance.choice(WAYS), f"u-{name}", chance.randrange(1_000)):
                mistakes.append(mistake)


def test_threads_never_see_each_others_calls(tmp_path: Path) -> None:
    supervisor = FakeSupervisor(judge=judged)
    mistakes: list[str] = []
    start = threading.Barrier(THREADS)
    config = settings(tmp_path, queue_size=THREADS * CALLS * 2)
    with default_guard(config, supervisor) as guard:
        threads = [threading.Thread(target=thread, args=(name, start, mistakes)) for name in range(THREADS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert guard.flush(30)
        stats = guard.stats()
    assert mistakes == []
    assert (stats.decisions, stats.dropped, stats.lost) == (THREADS * CALLS, 0, 0)
    assert not [one for one in supervisor.recorded if one.verdict is not None and "context" in str(one.verdict.reasons)]
    ids = Counter(one.action.action_id for one in supervisor.recorded)
    assert set(ids.values()) == {1}


async def atask(number: int, mistakes: list[str]) -> None:
    user = f"u-{number}"
    with observing(user_id=user):
        await asyncio.sleep(0)
        for call in (arefund, functools.partial(aimperative)):
            for amount in (number, number + 1):
                try:
                    value = await call(user, amount)
                except SupervisorBlocked as error:
                    if error.reasons != [f"{user}:{amount}"] or not amount % 2:
                        mistakes.append(str(error))
                else:
                    if value != (user, amount) or amount % 2:
                        mistakes.append(f"{value} for {user}:{amount}")


async def aimperative(user: str, amount: int) -> tuple[str, int]:
    return await guarded_async("refund", {"user": user, "amount": amount}, aplain, user, amount=amount)


def test_tasks_never_see_each_others_calls(tmp_path: Path) -> None:
    mistakes: list[str] = []

    async def main() -> None:
        await asyncio.gather(*(atask(number, mistakes) for number in range(1_000)))

    with default_guard(settings(tmp_path), FakeSupervisor(judge=judged)) as guard:
        asyncio.run(main())
        assert guard.flush()
        assert guard.stats().decisions == 4_000
    assert mistakes == []


def test_one_store_takes_callers_of_every_kind_at_once(tmp_path: Path) -> None:
    """Threads and tasks in front of the embedded supervisor: each row holds its own call's payload and verdict."""
    with default_guard(settings(tmp_path)) as guard:

        def one(number: int) -> None:
            for step in range(20):
                decide(guard, number * 100 + step)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for running in threads:
            running.start()

        async def many() -> None:
            await asyncio.gather(*(adecide(guard, 100_000 + number) for number in range(100)))

        asyncio.run(many())
        for running in threads:
            running.join()
        stored = rows(guard)
    assert len(stored) == 8 * 20 + 100
    for row in stored:
        payload = json.loads(row.payload)
        assert row.outcome == ("deny" if payload["amount"] > 10_000 else "allow")
        assert row.subject is None
        assert json.loads(row.context) == {"user_id": payload["user"]}


def call_of(number: int) -> dict[str, Any]:
    return {"user": f"u-{number}", "amount": 20_000 if number % 2 else 5}


def decide(guard: Guard, number: int) -> None:
    with observing(user_id=f"u-{number}"):
        assert guard.check("refund", call_of(number)).allowed is (number % 2 == 0)


async def adecide(guard: Guard, number: int) -> None:
    with observing(user_id=f"u-{number}"):
        await asyncio.sleep(0)
        assert (await guard.acheck("refund", call_of(number))).allowed is (number % 2 == 0)


WRITER = """
import logging, sys
from pathlib import Path
from supervisor_guards import GuardConfig, Guard
logging.basicConfig(level=logging.WARNING, format="%(message).60s")
guard = Guard(GuardConfig(enforcement_mode="enforce", policy="supervisor.yaml"))
sys.stdin.readline()
for number in range(300):
    guard.check("refund", {"writer": int(sys.argv[1]), "number": number, "amount": 20_000 if number % 10 == 0 else 5})
assert guard.flush(50)
stats = guard.stats()
assert (stats.dropped, stats.unavailable, stats.refused) == (0, 0, 30), stats
guard.close()
"""


def test_processes_share_one_sqlite_store(tmp_path: Path) -> None:
    settings(tmp_path)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(name)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in range(4)
    ]
    said = [""] * 4

    def finish(place: int) -> None:
        said[place] = writers[place].communicate("go\n", timeout=120)[1]

    watchers = [threading.Thread(target=finish, args=(place,)) for place in range(4)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    assert [writer.returncode for writer in writers] == [0] * 4, said
    assert "is locked" not in "".join(said)
    connection = sqlite3.connect(tmp_path / ".supervisor" / "decisions.db")
    stored = connection.execute("SELECT payload, outcome FROM sg_decisions").fetchall()
    connection.close()
    assert len(stored) == 1_200
    calls = {(call["writer"], call["number"]): outcome for call, outcome in ((json.loads(p), o) for p, o in stored)}
    assert calls == {(w, n): "deny" if n % 10 == 0 else "allow" for w in range(4) for n in range(300)}


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_two_guards_in_one_process_keep_their_records_apart(mode: str, tmp_path: Path) -> None:
    guards = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        guards.append(Guard(settings(tmp_path / name, mode)))
    for number, guard in enumerate(guards):
        for _ in range(number + 1):
            guard.check("refund", {"amount": number})
    assert [len(rows(guard)) for guard in guards] == [1, 2]
    for guard in guards:
        guard.close()
