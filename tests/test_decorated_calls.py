"""What happens around one decorated call: its payload, its generators, its own settings."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from engine import DENY, REVIEW, FakeSupervisor, default_guard

from supervisor_guards import (
    ConfigurationError,
    GuardConfig,
    PayloadUnusable,
    SupervisorBlocked,
    SupervisorReviewPending,
    guarded,
    guarded_async,
    supervised,
    supervised_async,
)
from supervisor_guards._model import Action, Outcome, Verdict
from supervisor_guards._payload import decode

ENFORCE = GuardConfig(enforcement_mode="enforce", default_on_review="fail_closed")


def judged(action: Action) -> Verdict:
    if action.snapshot.fault is not None:
        return Verdict(Outcome.DENY, (action.snapshot.fault,), unusable=True, recorded=True)
    amount = decode(action.snapshot).get("amount", 0)
    return DENY if amount > 100 else REVIEW if amount > 50 else Verdict(Outcome.ALLOW)


@pytest.fixture
def asked() -> Iterator[FakeSupervisor]:
    supervisor = FakeSupervisor(judge=judged)
    with default_guard(ENFORCE, supervisor, inline=True):
        yield supervisor


def payload_of(supervisor: FakeSupervisor) -> Any:
    return decode(supervisor.recorded[-1].action.snapshot)


class Shop:
    name = "corner"

    @supervised("refund", payload=lambda self, order, *, amount: {"shop": self.name, "amount": amount})
    def refund(self, order: str, *, amount: int) -> str:
        return order

    @supervised_async("refund", payload=lambda self, order, *, amount: {"shop": self.name, "amount": amount})
    async def arefund(self, order: str, *, amount: int) -> str:
        return order

    @classmethod
    @supervised("refund", payload=lambda cls, amount: {"class": cls.__name__, "amount": amount})
    def named(cls, amount: int) -> int:
        return amount

    @supervised("refund")
    def own_names(self, cls: int, amount: int) -> int:
        return cls + amount


def test_payload_gets_the_calls_own_arguments_with_self(asked: FakeSupervisor) -> None:
    assert Shop().refund("o-1", amount=5) == "o-1"
    assert payload_of(asked) == {"shop": "corner", "amount": 5}
    assert anyio.run(functools.partial(Shop().arefund, "o-2", amount=6)) == "o-2"
    assert payload_of(asked) == {"shop": "corner", "amount": 6}
    assert Shop.named(7) == 7
    assert payload_of(asked) == {"class": "Shop", "amount": 7}


def test_without_payload_self_is_left_out_and_nothing_else(asked: FakeSupervisor) -> None:
    assert Shop().own_names(1, 2) == 3
    assert payload_of(asked) == {"cls": 1, "amount": 2}


def test_payload_is_what_is_judged_not_the_arguments(asked: FakeSupervisor) -> None:
    cents = supervised("refund", payload=lambda amount: {"amount": amount / 100})(lambda amount: amount)
    assert cents(5_000) == 5_000
    with pytest.raises(SupervisorBlocked):
        cents(50_000)


def test_a_payload_that_raises_refuses_and_never_shows_its_error(asked: FakeSupervisor) -> None:
    ran = []
    call = supervised("refund", payload=lambda amount: {"amount": 1 / 0})(ran.append)
    with pytest.raises(PayloadUnusable) as caught:
        call(5)
    assert (caught.value.reasons, ran) == (["payload-raised"], [])


def test_a_payload_is_taken_before_the_function_can_change_it(asked: FakeSupervisor) -> None:
    def grow(items: list[int], amount: int = 1) -> None:
        items.append(7)

    items = [1]
    supervised("refund")(grow)(items)
    assert (items, payload_of(asked)) == ([1, 7], {"items": [1], "amount": 1})


@pytest.mark.parametrize("amount", [500, 75])
def test_a_generator_is_asked_at_the_first_next(amount: int, asked: FakeSupervisor) -> None:
    ran = []

    @supervised("refund")
    def stream(amount: int) -> Iterator[int]:
        ran.append(amount)
        yield amount

    waiting = stream(amount)
    assert (asked.recorded, ran) == ([], [])
    with pytest.raises((SupervisorBlocked, SupervisorReviewPending)):
        next(waiting)
    assert ran == []


def test_an_async_generator_is_asked_at_the_first_anext(asked: FakeSupervisor) -> None:
    ran = []

    @supervised_async("refund")
    async def stream(amount: int) -> AsyncIterator[int]:
        ran.append(amount)
        yield amount

    async def main() -> None:
        waiting = stream(500)
        assert asked.recorded == []
        with pytest.raises(SupervisorBlocked):
            await anext(waiting)

    anyio.run(main)
    assert ran == []


def test_a_generator_keeps_send_throw_and_return(asked: FakeSupervisor) -> None:
    @supervised("refund")
    def talk(amount: int) -> Any:
        got = yield amount
        try:
            yield got
        except KeyError:
            yield "caught"
        return "done"

    talking = talk(5)
    assert (next(talking), talking.send("hello"), talking.throw(KeyError())) == (5, "hello", "caught")
    with pytest.raises(StopIteration) as caught:
        next(talking)
    assert caught.value.value == "done"
    assert asked.results == [(asked.recorded[0].action.action_id, "returned")]


def test_an_async_generator_keeps_asend_athrow_and_aclose(asked: FakeSupervisor) -> None:
    closed = []

    @supervised_async("refund")
    async def talk(amount: int) -> Any:
        try:
            got = yield amount
            try:
                yield got
            except KeyError:
                yield "caught"
        finally:
            closed.append(amount)

    async def main() -> list[Any]:
        talking = talk(5)
        said = [await anext(talking), await talking.asend("hello"), await talking.athrow(KeyError())]
        await talking.aclose()
        return said

    assert anyio.run(main) == [5, "hello", "caught"]
    assert closed == [5]
    assert asked.results == [(asked.recorded[0].action.action_id, "returned")]


def test_leaving_a_generator_early_is_no_failure(asked: FakeSupervisor) -> None:
    closed = []

    @supervised("refund")
    def stream(amount: int) -> Iterator[int]:
        try:
            yield from range(amount)
        finally:
            closed.append(amount)

    running = stream(5)
    assert next(running) == 0
    running.close()  # type: ignore[attr-defined]
    assert closed == [5]
    assert asked.results == [(asked.recorded[0].action.action_id, "returned")]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancellation_reaches_the_coroutine_and_is_recorded_as_raised(backend: str, asked: FakeSupervisor) -> None:
    @supervised_async("refund")
    async def endless(amount: int) -> None:
        started.set()
        await anyio.sleep_forever()

    async def main() -> None:
        nonlocal started
        started = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(endless, 5)
            await started.wait()
            group.cancel_scope.cancel()

    started: anyio.Event
    anyio.run(main, backend=backend)
    assert asked.results == [(asked.recorded[0].action.action_id, "raised")]


@pytest.mark.parametrize("on_review", ["fail_open", "shadow"])
def test_on_review_at_the_call_site_beats_the_settings(on_review: Any, asked: FakeSupervisor) -> None:
    with pytest.raises(SupervisorReviewPending):
        supervised("refund")(lambda amount: amount)(75)
    assert supervised("refund", on_review=on_review)(lambda amount: amount)(75) == 75
    assert guarded("refund", {"amount": 75}, len, "four", on_review=on_review) == 4

    async def size(text: str) -> int:
        return len(text)

    assert anyio.run(functools.partial(guarded_async, "refund", {"amount": 75}, size, "four", on_review=on_review)) == 4


@pytest.mark.parametrize("decorator", [supervised, supervised_async])
def test_an_unknown_on_review_is_told_when_decorating(decorator: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"on_review='wait'.*block, fail_closed, fail_open, shadow"):
        decorator("refund", on_review="wait")


def test_a_recursive_function_is_asked_each_time(asked: FakeSupervisor) -> None:
    @supervised("refund")
    def down(amount: int) -> int:
        return 0 if amount == 0 else 1 + down(amount - 1)

    assert down(3) == 3
    assert [decode(one.action.snapshot)["amount"] for one in asked.recorded] == [3, 2, 1, 0]
