"""The decorators on every kind of function: they stay what they were, and are checked before they run."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from engine import DENY, FakeSupervisor, default_guard

from supervisor_guards import (
    GuardConfig,
    SupervisorBlocked,
    guarded,
    guarded_async,
    supervised,
    supervised_async,
)
from supervisor_guards._model import Action, Outcome, Verdict
from supervisor_guards._payload import decode

ran: list[Any] = []
refund_checked = supervised("refund")
arefund_checked = supervised_async("refund")


@pytest.fixture(autouse=True)
def fresh() -> None:
    ran.clear()


def judged(action: Action) -> Verdict:
    """Denies amounts over 100; a payload it can't read is refused as one."""
    if action.snapshot.fault is not None:
        return Verdict(Outcome.DENY, (action.snapshot.fault,), unusable=True, recorded=True)
    amount = decode(action.snapshot).get("amount", 0)
    return DENY if amount > 100 else Verdict(Outcome.ALLOW)


@pytest.fixture(params=["shadow", "enforce"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asked(mode: str) -> Iterator[FakeSupervisor]:
    """The supervisor of the default guard, in either mode; it records in the caller."""
    supervisor = FakeSupervisor(judge=judged)
    with default_guard(GuardConfig(enforcement_mode=mode), supervisor, inline=True):  # type: ignore[arg-type]
        yield supervisor


def refund(order: str, amount: int = 1) -> tuple[str, int]:
    """Pay it back."""
    ran.append((order, amount))
    return order, amount


async def arefund(order: str, amount: int = 1) -> tuple[str, int]:
    """Pay it back."""
    await anyio.sleep(0)
    ran.append((order, amount))
    return order, amount


def stream(order: str, amount: int = 1) -> Iterator[Any]:
    """Pay it back."""
    ran.append((order, amount))
    yield order
    yield amount


async def astream(order: str, amount: int = 1) -> Any:
    """Pay it back."""
    ran.append((order, amount))
    yield order
    yield amount


class Desk:
    """Every way to write a method."""

    @supervised("refund")
    def method(self, order: str, amount: int = 1) -> tuple[str, int]:
        """Pay it back."""
        return refund(order, amount)

    @supervised_async("refund")
    async def amethod(self, order: str, amount: int = 1) -> tuple[str, int]:
        """Pay it back."""
        return await arefund(order, amount)

    @supervised("refund")
    @classmethod
    def outside_class(cls, order: str, amount: int = 1) -> tuple[str, int]:
        """Pay it back."""
        assert cls is Desk
        return refund(order, amount)

    @classmethod
    @supervised("refund")
    def inside_class(cls, order: str, amount: int = 1) -> tuple[str, int]:
        """Pay it back."""
        assert cls is Desk
        return refund(order, amount)

    @supervised("refund")
    @staticmethod
    def outside_static(order: str, amount: int = 1) -> tuple[str, int]:
        """Pay it back."""
        return refund(order, amount)

    @staticmethod
    @supervised("refund")
    def inside_static(order: str, amount: int = 1) -> tuple[str, int]:
        """Pay it back."""
        return refund(order, amount)

    @supervised_async("refund")
    @classmethod
    async def outside_aclass(cls, order: str, amount: int = 1) -> tuple[str, int]:
        """Pay it back."""
        return await arefund(order, amount)


class Payer:
    """Pay it back."""

    def __call__(self, order: str, amount: int = 1) -> tuple[str, int]:
        return refund(order, amount)


class APayer:
    """Pay it back."""

    async def __call__(self, order: str, amount: int = 1) -> tuple[str, int]:
        return await arefund(order, amount)


def collected(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: tuple(call(*args, **kwargs))


def acollected(call: Callable[..., Any]) -> Callable[..., Any]:
    async def collect(*args: Any, **kwargs: Any) -> Any:
        return tuple([item async for item in call(*args, **kwargs)])

    return collect


def on(backend: str, call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: anyio.run(functools.partial(call, *args, **kwargs), backend=backend)


plain = refund_checked(refund)
coroutine = arefund_checked(arefund)


def imperative(order: str, amount: int = 1) -> Any:
    return guarded("refund", {"order": order, "amount": amount}, refund, order, amount)


async def aimperative(order: str, amount: int = 1) -> Any:
    return await guarded_async("refund", {"order": order, "amount": amount}, arefund, order, amount)


SYNC: dict[str, Callable[..., Any]] = {
    "function": plain,
    "method": Desk().method,
    "classmethod inside": Desk.outside_class,
    "classmethod outside": Desk.inside_class,
    "staticmethod inside": Desk.outside_static,
    "staticmethod outside": Desk.inside_static,
    "callable object": refund_checked(Payer()),
    "partial": refund_checked(functools.partial(refund)),
    "generator": collected(refund_checked(stream)),
    "guarded": imperative,
}
ASYNC: dict[str, Callable[..., Any]] = {
    "coroutine": coroutine,
    "coroutine by supervised": refund_checked(arefund),
    "coroutine method": Desk().amethod,
    "coroutine classmethod": Desk.outside_aclass,
    "async callable object": refund_checked(APayer()),
    "async partial": arefund_checked(functools.partial(arefund)),
    "async generator": acollected(arefund_checked(astream)),
    "async generator by supervised": acollected(refund_checked(astream)),
    "guarded_async": aimperative,
}
KINDS = {
    **SYNC,
    **{f"{kind} on {name}": on(name, call) for kind, call in ASYNC.items() for name in ("asyncio", "trio")},
}
EVERY = pytest.mark.parametrize("kind", KINDS)


@EVERY
def test_an_allowed_call_runs_once_with_its_own_arguments(kind: str, asked: FakeSupervisor) -> None:
    assert KINDS[kind]("o-1", amount=5) == ("o-1", 5)
    assert ran == [("o-1", 5)]
    (recorded,) = asked.recorded
    assert decode(recorded.action.snapshot) == {"order": "o-1", "amount": 5}
    assert recorded.result == "returned" or asked.results == [(recorded.action.action_id, "returned")]


@EVERY
def test_a_denied_call_runs_in_shadow_only(kind: str, asked: FakeSupervisor, mode: str) -> None:
    if mode == "shadow":
        assert KINDS[kind]("o-1", 500) == ("o-1", 500)
        assert ran == [("o-1", 500)]
    else:
        with pytest.raises(SupervisorBlocked) as caught:
            KINDS[kind]("o-1", 500)
        assert (caught.value.reasons, ran) == (["too-much"], [])
        assert caught.value.action_id


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "guarded" not in kind])
@pytest.mark.parametrize("arguments", [((), {}), (("o-1", 5, 6), {}), (("o-1",), {"amuont": 500})])
def test_wrong_arguments_are_the_functions_own_type_error(
    kind: str, arguments: tuple[tuple[Any, ...], dict[str, Any]], asked: FakeSupervisor
) -> None:
    args, kwargs = arguments
    with pytest.raises(TypeError, match=r"argument"):
        KINDS[kind](*args, **kwargs)
    assert ran == []


@EVERY
def test_what_the_function_raises_passes_and_is_recorded(
    kind: str, asked: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = LookupError("no such order")

    class Full(list[Any]):
        def append(self, item: Any) -> None:
            raise problem

    monkeypatch.setitem(globals(), "ran", Full())
    with pytest.raises(LookupError) as caught:
        KINDS[kind]("o-1", 5)
    assert caught.value is problem
    (recorded,) = asked.recorded
    assert recorded.result == "raised" or asked.results == [(recorded.action.action_id, "raised")]


def test_defaults_are_part_of_the_payload(asked: FakeSupervisor) -> None:
    plain("o-1")
    assert decode(asked.recorded[0].action.snapshot) == {"order": "o-1", "amount": 1}


@pytest.mark.parametrize(
    ("decorated", "original", "test"),
    [
        (plain, refund, inspect.isfunction),
        (coroutine, arefund, inspect.iscoroutinefunction),
        (refund_checked(stream), stream, inspect.isgeneratorfunction),
        (arefund_checked(astream), astream, inspect.isasyncgenfunction),
    ],
)
def test_a_decorated_function_still_looks_like_itself(decorated: Any, original: Any, test: Any) -> None:
    assert inspect.signature(decorated) == inspect.signature(original)
    assert (decorated.__doc__, decorated.__name__, decorated.__module__) == (
        "Pay it back.", original.__name__, __name__
    )  # fmt: skip
    assert decorated.__wrapped__ is original
    assert test(decorated)


@pytest.mark.parametrize("name", [name for name in vars(Desk) if not name.startswith("_")])
def test_a_decorated_method_still_looks_like_itself(name: str) -> None:
    bound = getattr(Desk(), name)
    assert str(inspect.signature(bound)) == "(order: 'str', amount: 'int' = 1) -> 'tuple[str, int]'"
    assert (bound.__doc__, bound.__qualname__) == ("Pay it back.", f"Desk.{name}")


def test_plain_functions_pickle_by_name() -> None:
    assert pickle.loads(pickle.dumps(pickled)) is pickled


@supervised("refund")
def pickled(amount: int) -> int:
    return amount


def test_supervised_async_refuses_what_is_not_async() -> None:
    for wrong in (refund, stream, Payer(), functools.partial(refund), staticmethod(refund), print):
        with pytest.raises(TypeError, match="async"):
            supervised_async("refund")(wrong)


@pytest.mark.parametrize("decorator", [supervised, supervised_async])
@pytest.mark.parametrize("action_type", [None, "", 7, arefund])
def test_a_missing_action_type_is_told_when_decorating(decorator: Any, action_type: Any) -> None:
    with pytest.raises(TypeError, match="action type"):
        decorator(action_type)(arefund)
    with pytest.raises(TypeError):
        decorator()


def test_what_cannot_be_called_is_told_when_decorating() -> None:
    with pytest.raises(TypeError, match="callable"):
        refund_checked("refund")
