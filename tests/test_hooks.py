"""Hooks: which events they hear, in which order, once, and what it costs to know how a review ended."""

from __future__ import annotations

import asyncio
import functools
import logging
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from engine import FORK_IS_MEANT, REVIEW, FakeSupervisor, default_guard, entry, rows, settings

from supervisor_guards import Event, Guard, guarded
from supervisor_guards._cases import CAPACITY, LOOKUPS
from supervisor_guards._events import Announcer
from supervisor_guards._model import ReviewState, Verdict
from supervisor_guards.embedded import open_store, parts
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.errors import ReviewNotFound, StoreUnavailable
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

SMALL, ODD, LARGE = {"amount": 5}, {"amount": 5_000}, {"amount": 50_000}
ADA = Principal("ada")


class Ear:
    """A hook that keeps what it heard, and can be waited on."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self._next: queue.Queue[Event] = queue.Queue()

    def __call__(self, event: Event) -> None:
        self.heard.append(event)
        self._next.put(event)

    def wait_for(self, kind: str) -> Event:
        while (event := self._next.get(timeout=60)).kind != kind:
            pass
        return event

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(event.kind, event.action_id, event.status) for event in self.heard]


@pytest.fixture
def guard_of(tmp_path: Path) -> Iterator[Callable[..., Guard]]:
    made: list[Guard] = []

    def make(**changes: Any) -> Guard:
        made.append(
            Guard(settings(tmp_path, **{"default_on_review": "fail_closed", "review_window_seconds": 0.0, **changes}))
        )
        return made[-1]

    yield make
    for guard in made:
        guard.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ReviewDesk]:
    """A reviewer's view of the same file, through a store of its own."""
    store = open_store(f"sqlite:///{tmp_path}/.supervisor/decisions.db", sealer=parts.sealer(settings(tmp_path)))
    yield ReviewDesk(store)
    store.close()


@pytest.mark.parametrize("audit", ["async", "sync"])
def test_hooks_hear_every_decision_and_each_review_that_waits(audit: str, guard_of: Callable[..., Guard]) -> None:
    guard, ear = guard_of(audit=audit), Ear()
    guard.add_hook(ear)
    ids = []
    for payload in (SMALL, ODD, LARGE):
        ids.append(guard.check("refund", payload).action_id)
        assert guard.flush()
    assert [(event.kind, event.action_id, event.outcome, event.would_have) for event in ear.heard] == [
        ("decision", ids[0], "allow", "allow"),
        ("decision", ids[1], "review", "review"),
        ("review", ids[1], "review", "review"),
        ("decision", ids[2], "deny", "deny"),
    ]


@pytest.mark.parametrize("ending", ["approved", "rejected", "abandoned"])
def test_hooks_hear_once_how_a_person_ended_a_review(
    ending: Any, guard_of: Callable[..., Guard], desk: ReviewDesk
) -> None:
    guard, ear = guard_of(), Ear()
    guard.add_hook(ear)
    ids = [guard.check("refund", ODD).action_id, guard.check("transfer", ODD).action_id]
    assert guard.flush()
    for action_id in ids:
        if ending == "abandoned":
            desk.abandon(action_id, ADA, "called the customer")
        else:
            desk.resolve(action_id, ending, "called the customer", ADA)
        event = ear.wait_for("resolution")
        assert (event.action_id, event.status, event.approver) == (action_id, ending, "ada")
        assert (event.notes, event.reasons, event.mode) == ("called the customer", ("amount-needs-a-look",), "enforce")
    resolutions = [event for event in ear.heard if event.kind == "resolution"]
    assert [event.action_type for event in resolutions] == ["refund", "transfer"]
    assert ear.told[:2] == [("decision", ids[0], "evaluated"), ("review", ids[0], "evaluated")]


def test_hooks_hear_that_nobody_decided_in_time(guard_of: Callable[..., Guard]) -> None:
    guard, ear = guard_of(review_expires_seconds=0.2), Ear()
    guard.add_hook(ear)
    action_id = guard.check("refund", ODD).action_id
    event = ear.wait_for("resolution")
    assert (event.action_id, event.status, event.approver) == (action_id, "expired", None)


def test_hooks_hear_how_the_review_of_a_waiting_call_ended(guard_of: Callable[..., Guard], desk: ReviewDesk) -> None:
    guard, ear = guard_of(default_on_review="block"), Ear()
    guard.add_hook(
        ear, lambda event: desk.resolve(event.action_id, "approved", None, ADA) if event.kind == "review" else None
    )
    decision = guard.check("refund", ODD)
    assert decision.allowed
    event = ear.wait_for("resolution")
    assert (event.action_id, event.approver) == (decision.action_id, "ada")
    assert event.status in ("approved", "used")  # the call may have run before anybody looked


def test_a_review_that_was_used_elsewhere_is_told_as_used(tmp_path: Path, desk: ReviewDesk) -> None:
    config = settings(tmp_path, default_on_review="fail_closed")
    guard, ear = Guard(config, inline=True), Ear()  # inline: nobody looks but this test
    guard.add_hook(ear)
    action_id = guard.check("refund", ODD).action_id
    desk.resolve(action_id, "approved", None, ADA)
    case = desk.review(action_id)
    guard.supervisor.redeem(action_id, case.digest or "", case.subject)
    guard._upkeep()
    assert ear.told[-1] == ("resolution", action_id, "used")
    guard.close()


def test_guards_of_one_process_hear_of_their_own_cases_alone(guard_of: Callable[..., Guard], desk: ReviewDesk) -> None:
    guards, ears = [guard_of(), guard_of()], [Ear(), Ear()]
    for guard, ear in zip(guards, ears, strict=True):
        guard.add_hook(ear)
    ids = [guard.check("refund", ODD).action_id for guard in guards]
    for action_id, ear in zip(ids, ears, strict=True):
        desk.resolve(action_id, "rejected", None, ADA)
        ear.wait_for("resolution")
    for action_id, ear in zip(ids, ears, strict=True):
        assert [event.kind for event in ear.heard] == ["decision", "review", "resolution"]
        assert {event.action_id for event in ear.heard} == {action_id}


FORKS = """
import os, queue
from supervisor_guards import Guard, GuardConfig
guard = Guard(GuardConfig(enforcement_mode="enforce", policy="supervisor.yaml", default_on_review="fail_closed"))
heard = queue.Queue()
guard.add_hook(heard.put)
old = guard.check("refund", {"amount": 5_000}).action_id
assert guard.flush()
pid = os.fork()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
    guard.supervisor.store.resolve(old, "approved", "ada")
    while heard.get(timeout=60).kind != "resolution":
        pass
else:
    status = 1
    try:
        while not heard.empty():
            heard.get()
        assert guard.stats().decisions == guard.stats().latency.count == 0
        own = guard.check("refund", {"amount": 5_001}).action_id
        guard.supervisor.store.resolve(own, "approved", "ada")
        told = [heard.get(timeout=60) for _ in range(3)]
        assert [event.kind for event in told] == ["decision", "review", "resolution"], told
        assert {event.action_id for event in told} == {own}
        assert len(guard._announcer._cases) == 0
        assert guard.close() is None
        status = 0
    finally:
        os._exit(status)
"""


def test_a_forked_child_follows_its_own_reviews_alone(tmp_path: Path) -> None:
    settings(tmp_path)
    command = [sys.executable, "-W", FORK_IS_MEANT, "-c", FORKS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


class Counting(EmbeddedSupervisor):
    """The real one, which also keeps which reviews were asked for."""

    looked: list[str]

    def review(self, action_id: str) -> ReviewState:
        self.looked.append(action_id)
        return super().review(action_id)


@pytest.mark.parametrize("hooks", [0, 1])
def test_only_a_guard_with_hooks_looks_and_at_few_cases_a_round(hooks: int, tmp_path: Path) -> None:
    config = settings(tmp_path, default_on_review="fail_closed")
    supervisor = Counting.from_config(config)
    supervisor.looked = []  # type: ignore[attr-defined]
    guard = Guard(config, supervisor, inline=True)
    for _ in range(hooks):
        guard.add_hook(Ear())
    ids = [guard.check("refund", {"amount": 2_000 + number}).action_id for number in range(LOOKUPS + 10)]
    guard._upkeep()
    guard._upkeep()  # within the same second: no other round
    looked = supervisor.looked  # type: ignore[attr-defined]
    assert looked == (ids[: len(looked)] if hooks else [])
    assert (len(looked) > 0, len(looked) <= LOOKUPS) == (bool(hooks), True)
    guard.close()


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Reviews:
    """Says how reviews stand; `states` holds those that aren't pending, an error is raised."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.states: dict[str, ReviewState | Exception] = {}

    def __call__(self, action_id: str) -> ReviewState:
        self.asked.append(action_id)
        state = self.states.get(action_id, ReviewState(action_id, "pending"))
        if isinstance(state, Exception):
            raise state
        return state


def waiting(count: int, **options: Any) -> tuple[Announcer, Clock, Reviews, Ear]:
    """An announcer that follows `count` cases, named by number, asked for a moment ago."""
    clock, ear = Clock(), Ear()
    announcer = Announcer(clock, **options)
    announcer.add_hooks([ear])
    for number in range(count):
        announcer.observed(held(str(number)))
    return announcer, clock, Reviews(), ear


def held(case: str) -> Any:
    """A call that was held under `case`, the supervisor's id of it."""
    one = entry()
    one.action = msgspec.structs.replace(one.action, time=4e9)
    one.verdict = msgspec.structs.replace(REVIEW, action_id=case)
    one.outcome = REVIEW.outcome
    return one


def test_a_thousand_cases_cost_fifty_questions_a_second_each_in_turn() -> None:
    announcer, clock, reviews, ear = waiting(1_000)
    for second in range(20):
        for _ in range(50):  # an idle thread comes by every 20 ms
            announcer.look(reviews)
        assert len(reviews.asked) == LOOKUPS * (second + 1)
        clock.now += 1.0
    assert sorted(reviews.asked) == sorted(str(number) for number in range(1_000))
    reviews.states["7"] = ReviewState("7", "rejected", "ada", "no")
    for _ in range(20):
        announcer.look(reviews)
        clock.now += 1.0
    assert [event.action_id for event in ear.heard if event.kind == "resolution"] == ["7"]
    assert len(announcer._cases) == 999


def test_a_slow_supervisor_is_asked_less() -> None:
    announcer, clock, reviews, _ = waiting(10)

    def slow(action_id: str) -> ReviewState:
        clock.now += 0.04
        return reviews(action_id)

    announcer.look(slow)
    assert len(reviews.asked) == 3


def test_the_map_of_cases_is_bounded_and_forgets_the_oldest() -> None:
    announcer, _, reviews, _ = waiting(CAPACITY + 5)
    announcer.look(reviews)
    assert len(announcer._cases) == CAPACITY
    assert reviews.asked[0] == "5"


def test_a_call_that_finds_its_case_open_announces_no_second_review() -> None:
    announcer, _, reviews, ear = waiting(1)
    announcer.observed(held("0"))
    reviews.states["0"] = ReviewState("0", "approved", "ada")
    announcer.look(reviews)
    assert [event.kind for event in ear.heard] == ["decision", "review", "decision", "resolution"]
    assert {event.action_id for event in ear.heard} == {"0"}


def test_a_store_that_is_down_is_asked_once_a_round_and_nothing_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    announcer, clock, reviews, ear = waiting(3)
    reviews.states = {str(number): StoreUnavailable("locked") for number in range(3)}
    for _ in range(3):
        announcer.look(reviews)
        clock.now += 1.0
    assert reviews.asked == ["0", "1", "2"]
    assert (announcer.lookup_errors, len(announcer._cases)) == (3, 3)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    reviews.states = {"0": ReviewState("0", "approved", "ada")}
    announcer.look(reviews)
    assert ear.told[-1] == ("resolution", "0", "approved")


def test_cases_past_their_end_or_gone_are_forgotten() -> None:
    announcer, _, reviews, _ = waiting(2, expires_seconds=-4e9)  # over long ago, and still pending
    announcer.look(reviews)
    assert len(announcer._cases) == 0
    announcer, _, reviews, ear = waiting(2)
    reviews.states["0"] = ReviewNotFound("0")
    announcer.look(reviews)
    assert (reviews.asked, len(announcer._cases), announcer.lookup_errors) == (["0", "1"], 1, 1)
    assert not [event for event in ear.heard if event.kind == "resolution"]


def test_a_supervisor_s_own_id_names_the_case(tmp_path: Path) -> None:
    verdict: Verdict = msgspec.structs.replace(REVIEW, action_id="case-7")
    guard, ear = Guard(settings(tmp_path, default_on_review="fail_closed"), FakeSupervisor(verdict), inline=True), Ear()
    guard.add_hook(ear)
    guard.check("refund", ODD)
    assert ear.told == [("decision", "case-7", "evaluated"), ("review", "case-7", "evaluated")]


@pytest.mark.parametrize("raised", [RuntimeError("chat is down"), SystemExit(1), asyncio.CancelledError()])
def test_hooks_are_called_in_order_and_one_that_raises_stops_no_other(
    raised: BaseException, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    order: list[str] = []

    def broken(event: Event) -> None:
        order.append("broken")
        raise raised

    with default_guard(settings(tmp_path)) as guard:
        guard.add_hook(lambda event: order.append("first"), broken)
        guard.add_hook(lambda event: order.append("last"))
        for _ in range(5):
            assert guard.check("refund", SMALL).allowed
            assert guard.flush()
        assert len(rows(guard)) == 5
        assert order == ["first", "broken", "last"] * 5
        assert guard.stats().hook_errors == 5
    assert len([line for line in caplog.messages if "hook" in line]) == 1


def test_a_hook_may_make_guarded_calls_itself(tmp_path: Path) -> None:
    def notify(event: Event) -> None:
        if event.action_type == "refund":
            guarded("transfer", SMALL, int)

    with default_guard(settings(tmp_path)) as guard:
        guard.add_hook(notify)
        guard.check("refund", SMALL)
        assert guard.flush()
        assert sorted(row.action_type for row in rows(guard)) == ["refund", "transfer"]


async def coroutine(event: Event) -> None: ...


async def generator(event: Event) -> Any:
    yield event


class Asynchronous:
    async def __call__(self, event: Event) -> None: ...


@pytest.mark.parametrize("hook", [coroutine, generator, Asynchronous(), functools.partial(coroutine)])
def test_an_async_hook_is_refused_with_what_to_do(hook: Any, guard_of: Callable[..., Guard]) -> None:
    guard, ear = guard_of(), Ear()
    with pytest.raises(TypeError, match=r"is async.*Pass a plain function.*call_soon_threadsafe"):
        guard.add_hook(ear, hook)
    guard.check("refund", SMALL)
    assert guard.flush()
    assert ear.heard == []


def test_what_can_t_be_called_is_refused(guard_of: Callable[..., Guard]) -> None:
    with pytest.raises(TypeError, match="hook 'chat' can't be called"):
        guard_of().add_hook("chat")  # type: ignore[arg-type]
