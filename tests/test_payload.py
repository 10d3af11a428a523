"""What a payload becomes: JSON for plain data, markers for the rest, and no user code is run on the way."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import sys
import threading
import types
import uuid
from typing import Any
from unittest import mock

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards._markers import MARKER_KEYS, Unreadable, Unusable, is_marker
from supervisor_guards._payload import decode, snapshot


def taken(value: Any, **options: Any) -> Any:
    """What a policy would see of `value`, standing in a payload of two fields."""
    result = snapshot({"v": value, "amount": 5}, **options)
    assert result.fault is None
    seen = decode(result)
    assert seen["amount"] == 5
    return seen["v"]


calls: list[str] = []


def trap(name: str) -> Any:
    def method(*_args: Any, **_kwargs: Any) -> Any:
        calls.append(name)
        raise RuntimeError(f"{name} was run")

    return method


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
def no_user_code() -> Any:
    calls.clear()
    yield
    assert calls == []


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


class Model:
    """Shaped as Django's: `_meta` on the class, fields in the instance."""

    _meta = types.SimpleNamespace(pk=types.SimpleNamespace(attname="number"))
    pk = property(trap("pk"))

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    __str__ = trap("__str__")
    __getattr__ = trap("__getattr__")


class PlainModel(Model):
    _meta = object()  # type: ignore[assignment]


def test_a_model_is_its_type_and_key() -> None:
    assert taken(Model(number=5, id=9)) == {"__object__": f"{__name__}.Model", "pk": 5}
    assert taken(PlainModel(id=5)) == {"__object__": f"{__name__}.PlainModel", "pk": 5}
    assert taken(Model()) == {"__object__": f"{__name__}.Model"}
    assert taken(Model(number=object())) == {"__object__": f"{__name__}.Model"}


@dataclasses.dataclass
class Order:
    number: str
    lines: list[int]

    @property
    def total(self) -> int:
        calls.append("total")
        return 1


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


class Color(enum.Enum):
    RED = "red"
    ODD = object()

    @property
    def value(self) -> Any:
        calls.append("value")
        return "spoof"


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (decimal.Decimal("12.50"), 12.5),
        (decimal.Decimal("NaN"), {"__nonfinite__": "nan"}),
        (decimal.Decimal("-Infinity"), {"__nonfinite__": "-inf"}),
        (float("nan"), {"__nonfinite__": "nan"}),
        (float("inf"), {"__nonfinite__": "inf"}),
        (2**1024, 2**1024),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc), "2026-01-02T00:00:00+00:00"),
        (Color.RED, "red"),
        (Point(1, 2), [1, 2]),
        (collections.defaultdict(list, a=1), {"a": 1}),
        ({3, 1, 2}, [1, 2, 3]),
        ({"b", 1}, ["b", 1]),
        (memoryview(b"abc"), {"__bytes__": 3}),
        (pathlib.Path("/srv/x"), str(pathlib.Path("/srv/x"))),
        ("\ud800", {"__surrogate__": True}),
        ({7: 0, None: 1, False: 2, 1.5: 3}, {"7": 0, "null": 1, "false": 2, "1.5": 3}),
        ((), []),
    ],
)
def test_forms(value: Any, expected: Any) -> None:
    assert taken(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        -(1 << 20_000),
        decimal.Decimal("1E+400"),
        decimal.Decimal("1E-400"),
        {(1, 2): "a"},
        {1: "a", "1": "b"},
        {"\ud800": 1},
        {float("nan"): 1},
        Color.ODD,
        *({key: True} for key in MARKER_KEYS),
        {"__truncated__": True, "length": 3},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_a_marker_and_a_spelt_marker_too(value: Any) -> None:
    assert is_marker(taken(value))


def test_an_unknown_time_zone_is_not_asked_for_its_offset() -> None:
    class Zone(dt.tzinfo):
        utcoffset = trap("utcoffset")  # type: ignore[assignment]

    assert is_marker(taken(dt.datetime(2026, 1, 2, tzinfo=Zone())))


def test_one_bad_value_leaves_the_others_readable() -> None:
    view = memoryview(b"abc")
    view.release()
    assert taken(view) == {"__error__": "unreadable"}


def test_cycles_and_depth() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert taken(ring) == [{"__cycle__": True}]
    deep: Any = "end"
    for _ in range(5_000):
        deep = [deep]
    seen = taken(deep)
    while not is_marker(seen):
        (seen,) = seen
    assert "__depth__" in seen


def test_the_same_list_twice_is_no_cycle() -> None:
    shared = [object()]
    seen = taken([shared, shared])
    assert seen[0] == seen[1]


def test_the_end_of_the_stack_is_no_error() -> None:
    def dive() -> Any:
        try:
            return dive()
        except RecursionError:
            return snapshot({"v": [[object()]]})

    assert type(decode(dive())) is dict


@pytest.mark.parametrize("value", [None, 5, "text", [1, "a"], (1,), 2.5])
def test_what_is_no_mapping_stands_under_value(value: Any) -> None:
    assert decode(snapshot(value)) == {"value": list(value) if type(value) is tuple else value}


@pytest.mark.parametrize("value", [object(), {"__object__": "x", "amount": 1}, {(1,): 1}])
def test_a_payload_that_cannot_be_read_at_all_has_a_fault(value: Any) -> None:
    result = snapshot(value)
    assert result.fault == "payload-unusable"
    assert is_marker(decode(result)["value"])


def test_a_large_text_is_cut_and_the_rest_stays() -> None:
    result = snapshot({"note": "x" * 1_000_000, "amount": 999, "reason": "r" * 300})
    assert result.truncated
    assert result.fault is None
    assert result.full_hash is not None
    assert decode(result) == {
        "note": {"__truncated__": True, "length": 1_000_000},
        "amount": 999,
        "reason": "r" * 300,
    }


@pytest.mark.parametrize(
    "big",
    ["x" * 5_000_000, list(range(1_000_000)), dict.fromkeys(range(1_000_000)), ["y" * 1_000] * 100_000],
    ids=["text", "list", "dict", "texts"],
)
def test_what_is_far_too_large_is_not_read_and_hides_no_other_field(big: Any) -> None:
    result = snapshot({"before": 1, "big": big, "amount": 999})
    assert result.truncated
    assert result.full_hash is None
    assert result.fault is None
    assert decode(result) == {
        "before": 1,
        "big": {"__truncated__": True, "length": len(big)},
        "amount": 999,
    }


def test_the_largest_list_goes_first() -> None:
    seen = decode(snapshot({"request": {"items": list(range(50_000)), "user": {"id": 7}}, "note": "n" * 500}))
    assert seen["request"] == {"items": {"__truncated__": True, "length": 50_000}, "user": {"id": 7}}
    assert seen["note"] == "n" * 500


def test_too_many_fields_to_keep_any_is_a_fault() -> None:
    result = snapshot({f"field-{number}": number for number in range(20_000)})
    assert (result.truncated, result.fault) == (True, "too-large")
    assert is_marker(decode(result))


@given(st.integers(100, 3_000), st.dictionaries(st.text(max_size=5), st.text(max_size=900) | st.lists(st.integers())))
def test_the_limit_holds(limit: int, payload: dict[str, Any]) -> None:
    result = snapshot(payload, limit)
    assert len(result.body) <= limit
    seen = decode(result)
    assert result.truncated or seen == payload
    if result.fault is None:
        assert set(seen) == set(payload)
        for name, value in seen.items():
            assert value == payload[name] or is_marker(value)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**1000), 2**1000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=10).filter(lambda name: name not in MARKER_KEYS)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)


def same(left: Any, right: Any) -> bool:
    """Equal, and of equal types all the way: 1, 1.0 and True differ."""
    if type(left) is not type(right):
        return False
    if type(left) is dict:
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if type(left) is list:
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right) and (type(left) is not float or math.copysign(1, left) == math.copysign(1, right))


@given(st.dictionaries(names, json_values, max_size=5))
def test_plain_data_comes_back_as_it_was(payload: dict[str, Any]) -> None:
    assert same(decode(snapshot(payload)), payload)


odd = (
    scalars
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.decimals()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.complex_numbers()
    | st.uuids()
    | st.sampled_from([object(), Color.RED, Color.ODD, Order("a", []), len])
    | st.builds(Model, number=st.integers())
    | st.builds(mock.Mock)
)
odd_keys = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3)
anything = st.recursive(
    odd,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(odd_keys, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(odd_keys, max_size=3)
        | st.frozensets(odd_keys, max_size=3)
    ),
    max_leaves=10,
)


@given(anything, st.sampled_from([64, 300, 65_536]))
def test_any_object_becomes_a_json_object_within_the_limit(value: Any, limit: int) -> None:
    result = snapshot(value, limit)
    assert type(decode(result)) is dict
    assert len(result.body) <= limit


def test_what_an_adapter_could_not_read_is_a_marker_told_apart_by_its_content() -> None:
    assert taken(Unreadable("body-invalid", b"1")) == {"__error__": "body-invalid"}
    one, again, other, unseen = (
        snapshot({"body": Unreadable("body-invalid", content)}) for content in (b"1", b"1", b"2", None)
    )
    assert one.full_hash == again.full_hash != other.full_hash
    assert (unseen.full_hash, unseen.truncated) == (None, True)


@pytest.mark.parametrize("known", [{"amount": 5}, {}, None])
def test_an_unusable_payload_keeps_its_reason_and_what_is_known(known: Any) -> None:
    result = snapshot(Unusable("body-too-large", known))
    assert (result.fault, decode(result)) == ("body-too-large", known or {})
