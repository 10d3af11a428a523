"""What a user's type checker sees: checked by mypy and pyright (`tests/test_typing.py`), never run.

A line that must be an error carries an ignore comment; a checker that finds no error there complains.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

from typing_extensions import assert_type

from supervisor_guards import (
    Decision,
    Event,
    Guard,
    GuardConfig,
    Hook,
    Outcome,
    Stats,
    SupervisorBlocked,
    approved,
    configure,
    get_guard,
    guarded,
    guarded_async,
    observe,
    observing,
    supervised,
    supervised_async,
)
from supervisor_guards.testing import (
    Answer,
    Call,
    ScriptedSupervisor,
    allow,
    deny,
    down,
    review,
    scripted,
    slow,
)


@supervised("refund")
def refund(order: str, amount: int = 1, *, notify: bool = False) -> float:
    return amount / 100


assert_type(refund("o-1", 5, notify=True), float)
refund(5)  # type: ignore[arg-type]
refund("o-1", currency="EUR")  # type: ignore[call-arg]


@supervised("refund")
async def arefund(order: str) -> float:
    return 1.0


@supervised_async("refund", on_review="fail_closed", payload=lambda order: {"order": order})
async def brefund(order: str) -> float:
    return 1.0


@supervised("export")
def export(count: int) -> Iterator[bytes]:
    yield b""


@supervised_async("export")
async def aexport(count: int) -> AsyncIterator[bytes]:
    yield b""


class Desk:
    @supervised("refund", payload=lambda self, amount: {"amount": amount})
    def method(self, amount: int) -> str:
        return ""

    @classmethod
    @supervised("refund")
    def inside_class(cls, amount: int) -> str:
        return ""

    @supervised("refund")
    @classmethod
    def outside_class(cls, amount: int) -> str:
        return ""

    @staticmethod
    @supervised("refund")
    def inside_static(amount: int) -> str:
        return ""

    @supervised_async("refund")
    async def amethod(self, amount: int) -> str:
        return ""


def uses() -> None:
    assert_type(export(1), Iterator[bytes])
    assert_type(aexport(1), AsyncIterator[bytes])
    assert_type(Desk().method(5), str)
    assert_type(Desk.inside_class(5), str)
    assert_type(Desk.outside_class(5), str)
    assert_type(Desk.inside_static(5), str)
    Desk().method("5")  # type: ignore[arg-type]
    Desk.inside_class("5")  # type: ignore[arg-type]

    assert_type(guarded("refund", {"amount": 1}, refund, "o-1", notify=True), float)
    assert_type(guarded("refund", {"amount": 1}, len, "four", on_review="block"), int)
    guarded("refund", {"amount": 1}, len, "four", on_review="wait")  # type: ignore[arg-type]

    configure("http://supervisor.example", "app", "secret", ["a"], enforcement_mode="sample", sample_percent=5)
    configure(review_timeout_ms=500, actions={"refund": {"mode": "enforce"}}, default_on_review="fail_open")
    configure(enforcement_mode="enforced")  # type: ignore[arg-type]
    configure(default_on_review="wait")  # type: ignore[arg-type]
    supervised("refund", on_review="wait")  # type: ignore[arg-type]
    supervised()  # type: ignore[call-arg]

    observe(user_id="u-1", goal="pay")
    with observing(user_id="u-1"), approved("action-1"):
        assert_type(get_guard(), Guard)


async def auses() -> None:
    assert_type(await arefund("o-1"), float)
    assert_type(await brefund("o-1"), float)
    assert_type(await Desk().amethod(5), str)
    await brefund(5)  # type: ignore[arg-type]
    assert_type(await guarded_async("refund", {"order": "o-1"}, brefund, "o-1"), float)

    guard = Guard(GuardConfig(enforcement_mode="enforce"))
    assert_type(await guard.acheck("refund", {"amount": 5}), Decision)
    assert_type(await guard.arequire("refund", {"amount": 5}, on_review="fail_open"), Decision)
    await guard.aclose()


def decisions(guard: Guard) -> None:
    decision = guard.check("refund", {"amount": 5})
    assert_type(decision, Decision)
    assert_type(decision.allowed, bool)
    assert_type(decision.outcome, Outcome)
    assert_type(decision.reasons, tuple[str, ...])
    assert_type(guard.flush(1.0), bool)
    try:
        guard.require("refund", {"amount": 5})
    except SupervisorBlocked as error:
        assert_type(error.reasons, list[str])
        assert_type(error.action_id, str | None)

    def hook(event: Event) -> None:
        assert_type(event.action_id, str)

    class Chat:
        def __call__(self, event: Event) -> None: ...

    known: Hook = hook
    guard.add_hook(known)
    guard.add_hook(Chat(), known)
    guard.add_hook(len)  # type: ignore[arg-type]

    stats = guard.stats()
    assert_type(stats, Stats)
    assert_type(stats.decisions, int)
    assert_type(stats.latency.p99, int | None)


def tested(scripted_supervisor: ScriptedSupervisor) -> None:
    assert_type(scripted_supervisor.on("refund", deny("too-much", rule="cap"), allow()), ScriptedSupervisor)
    scripted_supervisor.on("refund", lambda payload: deny() if payload["amount"] > 5 else allow())
    scripted_supervisor.on("refund", "deny")  # type: ignore[arg-type]
    scripted_supervisor.on("refund", lambda payload: "deny")  # type: ignore[arg-type, return-value]
    assert_type(review("odd", approve_after=2, notes="fine"), Answer)
    assert_type(slow(review(), deadline=0.1), Answer)
    review(approve_after="two")  # type: ignore[arg-type]
    assert_type(scripted_supervisor.calls, list[Call])
    assert_type(scripted_supervisor.calls_of("refund")[0].payload, dict[str, Any])
    scripted_supervisor.approve(notes="fine")
    with scripted(down(), settings={"on_unavailable": "fail_open"}) as supervisor:
        assert_type(supervisor, ScriptedSupervisor)
        assert_type(Guard(supervisor=supervisor), Guard)
    with scripted(settings=None):
        pass


plain: Callable[[str, int], float] = refund
coroutine: Callable[[str], Coroutine[Any, Any, float]] = arefund
