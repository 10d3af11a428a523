"""A thousand calls that wait for a person on one event loop: no threads of theirs, nobody else waits with them."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from engine import default_guard, settings

from supervisor_guards import Event, Guard, GuardConfig, ReviewRejected, SupervisorBlocked, guarded_async
from supervisor_guards._model import ReviewState
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

WAITERS = 1_000
THREADS = 16
"""What a thousand waiters may start: those of the store, of the record and of the loop, far from one each."""
BOB = Principal("bob")


class Counting(EmbeddedSupervisor):
    """The embedded supervisor, which also says how often each review was looked at."""

    polls: Counter[str]

    async def areview(self, action_id: str) -> ReviewState:
        state = await super().areview(action_id)
        self.polls[action_id] += 1
        return state


class Waiting:
    """A guard with many calls that wait, and what became of them."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.before = set(threading.enumerate())
        self.held: list[str] = []
        self.all_held = threading.Event()
        self.ran: list[int] = []
        self.ended: list[int] = []
        self.rejected = anyio.Event()
        self.done = anyio.Event()
        guard.add_hook(self.hear)

    def hear(self, event: Event) -> None:
        if event.kind == "review":
            self.held.append(event.action_id)
            if len(self.held) == WAITERS:
                self.all_held.set()

    async def refund(self, number: int) -> None:
        self.ran.append(number)

    async def wait(self, number: int) -> None:
        try:
            await guarded_async("refund", {"amount": 5_000, "number": number}, self.refund, number)
            self.done.set()
        except ReviewRejected:
            self.rejected.set()
        finally:
            self.ended.append(number)

    async def all_wait(self) -> None:
        assert await anyio.to_thread.run_sync(self.all_held.wait, 120)

    def new_threads(self) -> int:
        return len(set(threading.enumerate()) - self.before)

    def statuses(self) -> Counter[str]:
        return Counter(case.status for case in ReviewDesk(self.guard.supervisor.store).reviews(limit=10_000))  # type: ignore[attr-defined]


async def unrelated(ran: list[int]) -> None:
    """What other requests do meanwhile: turns of the loop, a thread of the application, calls that need no person."""

    async def small(amount: int) -> int:
        ran.append(amount)
        return amount

    for _ in range(100):
        await anyio.lowlevel.checkpoint()
    await anyio.to_thread.run_sync(int)
    assert await guarded_async("refund", {"amount": 5}, small, 5) == 5
    with pytest.raises(SupervisorBlocked):
        await guarded_async("refund", {"amount": 50_000}, small, 50_000)
    assert ran == [5]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thousand_wait_and_others_go_on(backend: str, tmp_path: Path) -> None:
    """Between two looks of theirs, which are far apart here."""
    config = settings(tmp_path, review_poll_interval_seconds=600.0, review_timeout_seconds=3_600.0)

    async def main(guard: Guard) -> Waiting:
        waiting = Waiting(guard)
        async with anyio.create_task_group() as group:
            for number in range(WAITERS):
                group.start_soon(waiting.wait, number)
            await waiting.all_wait()
            await unrelated([])
            assert waiting.new_threads() < THREADS
            assert waiting.ended == []
            group.cancel_scope.cancel()
        return waiting

    with default_guard(config) as guard:
        waiting = anyio.run(main, guard, backend=backend)
        assert (len(waiting.ended), waiting.ran) == (WAITERS, [])
        assert waiting.statuses() == {"pending": WAITERS}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thousand_look_all_the_time_and_others_go_on(backend: str, tmp_path: Path) -> None:
    """With an interval in which the store can't answer all of them, they take turns, and it takes turns with others."""
    config: GuardConfig = settings(tmp_path, review_poll_interval_seconds=0.01, review_timeout_seconds=3_600.0)
    supervisor = Counting.from_config(config)
    assert isinstance(supervisor, Counting)
    supervisor.polls = Counter()

    async def main(guard: Guard) -> Waiting:
        waiting = Waiting(guard)
        async with anyio.create_task_group() as group:
            for number in range(WAITERS):
                group.start_soon(waiting.wait, number)
            await waiting.all_wait()
            await unrelated([])
            assert waiting.new_threads() < THREADS
            assert waiting.ended == []
            while len(supervisor.polls) < WAITERS:  # nobody is passed over
                await anyio.lowlevel.checkpoint()
            desk = ReviewDesk(guard.supervisor.store)  # type: ignore[attr-defined]
            await anyio.to_thread.run_sync(desk.resolve, waiting.held[0], "approved", None, BOB)
            await anyio.to_thread.run_sync(desk.resolve, waiting.held[-1], "rejected", None, BOB)
            await waiting.done.wait()
            await waiting.rejected.wait()
            assert waiting.new_threads() < THREADS
            group.cancel_scope.cancel()
        return waiting

    with default_guard(config, supervisor) as guard:
        waiting = anyio.run(main, guard, backend=backend)
        assert (len(waiting.ended), len(waiting.ran)) == (WAITERS, 1)
        assert waiting.statuses() == {"pending": WAITERS - 2, "used": 1, "rejected": 1}
