"""A call's arguments by name: what `inspect.signature(...).bind` with defaults would say, made once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from supervisor_guards._binding import make_call_note, make_extractor, published_view
from supervisor_guards._payload import decode, snapshot
from supervisor_guards._redaction import Redactor


def refund(
    order: str, amount: int = 5, /, reason: str = "none", *rest: Any, currency: str = "USD", **extra: Any
) -> None:
    """Has a parameter of every kind."""


def plain(order: str, amount: int, reason: str = "none", *, currency: str = "USD", notify: bool = True) -> None:
    """Has five parameters."""


def keyword_only(*, defaults: int = 1, __list: int = 2) -> None:
    """Has names the generated code could trip over."""


CALLS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = [
    (refund, ("o-1",), {}),
    (refund, ("o-1", 7, "late", 8, 9), {"currency": "EUR", "order": "in extra", "self": 1}),
    (plain, ("o-1", 7), {"notify": False}),
    (plain, (), {"order": "o-1", "amount": 7}),
    (keyword_only, (), {"defaults": 3}),
    (lambda a, b=2: None, (1,), {}),
    (lambda *args, **kwargs: None, (1, 2), {"a": 3}),
]


@pytest.mark.parametrize(("function", "args", "kwargs"), CALLS)
def test_arguments_are_bound_as_the_signature_binds_them(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    expected = {name: list(value) if type(value) is tuple else value for name, value in bound.arguments.items()}
    assert make_extractor(function)(args, kwargs) == expected


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), (("o", 1, "r", 4), {}), (("o", 1), {"order": "twice"})])
def test_wrong_arguments_are_the_functions_own_type_error(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"plain\(\)"):
        make_extractor(plain)(args, kwargs)


class Desk:
    def refund(self, order: str, amount: int = 1) -> None: ...

    def many(*args: Any) -> None: ...  # type: ignore[misc]

    @classmethod
    def close(cls, order: str) -> None: ...

    def __call__(self, order: str) -> None: ...


def test_methods_are_bound_without_their_instance() -> None:
    desk = Desk()
    assert make_extractor(Desk.refund, drop_first=True)((desk, "o-1"), {}) == {"order": "o-1", "amount": 1}
    assert make_extractor(Desk.many, drop_first=True)((desk, 1, 2), {}) == {"args": [1, 2]}
    close = Desk.__dict__["close"].__func__
    assert make_extractor(close, drop_first=True)((Desk,), {"order": "o-1"}) == {"order": "o-1"}
    assert make_extractor(desk)(("o-1",), {}) == {"order": "o-1"}


def test_what_a_partial_holds_is_part_of_the_payload() -> None:
    held = functools.partial(plain, "o-1", currency="EUR")
    assert make_extractor(held)((7,), {}) == {
        "order": "o-1", "amount": 7, "reason": "none", "currency": "EUR", "notify": True,
    }  # fmt: skip


def test_a_callable_without_a_signature_keeps_its_arguments_apart() -> None:
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(dict)
    assert make_extractor(dict)((1,), {"a": 2}) == {"args": [1], "kwargs": {"a": 2}}


def test_a_wrapper_that_takes_other_arguments_than_what_it_wraps_is_not_refused() -> None:
    @functools.wraps(plain)
    def wrapper(order: str) -> None: ...

    extract = make_extractor(wrapper)
    assert extract(("o-1",), {}) == {"args": ["o-1"], "kwargs": {}}
    assert extract(("o-1", 7), {})["amount"] == 7


def seen(function: Callable[..., Any], *args: Any, drop_first: bool = False, **kwargs: Any) -> dict[str, Any]:
    """What a published policy would read of a call, after the snapshot has sorted the fields."""
    extract = make_extractor(function, drop_first=drop_first)
    note = make_call_note(function, drop_first=drop_first)
    assert note is not None
    return published_view(decode(snapshot(extract(args, kwargs))), note(len(args)))


def test_the_published_shape_stands_beside_the_names() -> None:
    view = seen(plain, "o-1", 7, notify=False)
    assert view["args"] == ["o-1", 7]
    assert view["kwargs"] == {"notify": False, "currency": "USD", "reason": "none"}
    assert view["amount"] == 7


def test_the_published_shape_of_every_kind_of_parameter() -> None:
    view = seen(refund, "o-1", 7, "late", 8, 9, currency="EUR", more=1)
    assert view["args"] == ["o-1", 7, "late", 8, 9]
    assert view["kwargs"] == {"currency": "EUR", "more": 1}
    view = seen(refund, "o-1")
    assert view["args"] == ["o-1"]
    assert view["kwargs"] == {"amount": 5, "reason": "none", "currency": "USD"}
    assert seen(Desk.refund, Desk(), "o-1", drop_first=True)["args"] == ["o-1"]


def test_parameters_called_args_and_kwargs_keep_their_names() -> None:
    view = seen(lambda *args, **kwargs: None, 1, 2, a=3)
    assert view == {"args": [1, 2], "kwargs": {"a": 3}}


def test_the_published_shape_holds_no_secret_that_the_names_have_lost() -> None:
    def login(user: str, password: str) -> None: ...

    fields = make_extractor(login)(("ann", "hunter2"), {})
    view = published_view(Redactor().redact(decode(snapshot(fields))), ("user", "password"))
    assert view["args"] == ["ann", {"__redacted__": True}]
    assert "hunter2" not in repr(view)
