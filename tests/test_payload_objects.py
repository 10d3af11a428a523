"""Objects in a payload: what is stored in them is read, and none of their code is run on the way."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import attrs
import msgspec
import pytest

from supervisor_guards._markers import is_marker
from supervisor_guards._payload import decode, snapshot
from tests.payloads import Model, Order, calls, nothing_run, taken, trap

DUNDERS = (
    "__str__", "__repr__", "__iter__", "__len__", "__bool__", "__eq__", "__hash__", "__lt__", "__getattr__",
    "__getattribute__", "__format__", "__bytes__", "__int__", "__float__", "__index__", "__contains__",
    "__getitem__", "__fspath__", "__next__", "__call__", "__reduce__", "__sizeof__", "__dir__", "items", "keys",
    "values", "isoformat", "utcoffset", "item", "bit_length", "isascii", "encode", "is_finite",
)  # fmt: skip


class HostileMeta(type):
    __eq__ = trap("meta __eq__")
    __hash__ = trap("meta __hash__")
    __getattribute__ = trap("meta __getattribute__")
    __instancecheck__ = trap("meta __instancecheck__")


def hostile(*bases: type) -> Any:
    """A class that records, and fails, whenever anything of it is run."""
    space: dict[str, Any] = {name: trap(name) for name in DUNDERS}
    space["__class__"] = property(trap("__class__"))
    space["pk"] = property(trap("pk"))
    if not bases or bases == (object,):
        space["__dict__"] = property(trap("__dict__"))
    return type("Hostile", bases or (object,), space)


@pytest.fixture(autouse=True)
def no_user_code() -> Iterator[None]:
    with nothing_run():
        yield


@pytest.mark.parametrize(
    ("base", "arguments", "expected"),
    [
        (str, ("text",), "text"),
        (int, (7,), 7),
        (float, (1.5,), 1.5),
        (dict, ({"a": 1},), {"a": 1}),
        (list, ([1, 2],), [1, 2]),
        (tuple, ((1, 2),), [1, 2]),
        (set, ({1},), [1]),
        (frozenset, ({1},), [1]),
        (bytes, (b"abc",), {"__bytes__": 3}),
        (bytearray, (b"abc",), {"__bytes__": 3}),
        (collections.OrderedDict, ({"a": 1},), {"a": 1}),
        (collections.deque, ([1],), [1]),
        (decimal.Decimal, ("1.5",), 1.5),
        (dt.datetime, (2026, 1, 2), "2026-01-02T00:00:00"),
        (dt.date, (2026, 1, 2), "2026-01-02"),
        (dt.time, (1, 2), "01:02:00"),
        (dt.timedelta, (0, 90), 90.0),
    ],
)
def test_a_subclass_is_read_as_its_base_and_its_own_methods_stay_unrun(
    base: type, arguments: tuple[Any, ...], expected: Any
) -> None:
    value = base.__new__(hostile(base), *arguments)
    if base in (dict, list, set, bytearray, collections.OrderedDict, collections.deque):
        base.__init__(value, *arguments)
    calls.clear()
    assert taken(value) == expected


def test_an_unknown_object_is_its_type_and_nothing_of_it_is_run() -> None:
    kind = hostile()
    instance = object.__new__(kind)
    calls.clear()
    assert taken(instance) == {"__object__": f"{__name__}.Hostile"}
    assert taken([instance, {"deep": instance}])[1] == {"deep": {"__object__": f"{__name__}.Hostile"}}


def test_a_metaclass_is_not_asked_either() -> None:
    kind = HostileMeta("Odd", (), {})
    instance = object.__new__(kind)
    calls.clear()
    assert is_marker(taken(instance))
    assert is_marker(taken(kind))


def test_a_key_of_a_hostile_class_spoils_its_mapping_only() -> None:
    class Key:
        __str__ = trap("__str__")
        __repr__ = trap("__repr__")

    assert is_marker(taken({Key(): 1, "a": 2}))


@pytest.mark.parametrize(
    "value",
    [
        (number for number in [1, 2]),
        range(3),
        object(),
        object,
        len,
        lambda: None,
        1 + 2j,
        mock.MagicMock(),
        mock.Mock(spec=dict),
        types.SimpleNamespace(a=1),
        types.MappingProxyType({"a": 1}),
        collections.ChainMap({"a": 1}),
        threading.Lock(),
        iter([]),
        msgspec.UNSET,
        msgspec.Raw(b'"spoof"'),
        sys,
        Ellipsis,
    ],
)
def test_what_has_no_form_is_named_by_its_type(value: Any) -> None:
    assert set(taken(value)) == {"__object__"}


def test_a_generator_is_still_whole_afterwards() -> None:
    numbers = (number for number in [1, 2])
    taken(numbers)
    assert list(numbers) == [1, 2]


def test_a_mock_has_recorded_no_call() -> None:
    stub = mock.MagicMock()
    taken(stub)
    assert stub.mock_calls == []


class PlainModel(Model):
    _meta = object()  # type: ignore[assignment]


def test_a_model_is_its_type_and_key() -> None:
    assert taken(Model(number=5, id=9)) == {"__object__": f"{Model.__module__}.Model", "pk": 5}
    assert taken(PlainModel(id=5)) == {"__object__": f"{__name__}.PlainModel", "pk": 5}
    assert taken(Model()) == {"__object__": f"{Model.__module__}.Model"}
    assert taken(Model(number=object())) == {"__object__": f"{Model.__module__}.Model"}


@dataclasses.dataclass
class Holder:
    __slots__ = ("name",)
    name: str


@attrs.define
class Attrs:
    name: str


class Struct(msgspec.Struct):
    name: str


class Pydantic:
    """Shaped as pydantic's models: values in the instance dict."""

    __pydantic_core_schema__: dict[str, Any] = {}  # noqa: RUF012
    __getattr__ = trap("__getattr__")

    def __init__(self) -> None:
        self.__dict__.update(name="a")


def test_declared_fields_are_read_where_they_are_stored() -> None:
    assert taken(Order("o-1", [1, 2])) == {"number": "o-1", "lines": [1, 2]}
    for value in (Holder("a"), Attrs("a"), Struct("a"), Pydantic()):
        assert taken(value) == {"name": "a"}


def test_declared_fields_may_be_the_payload_itself() -> None:
    assert decode(snapshot(Order("o-1", []))) == {"number": "o-1", "lines": []}
