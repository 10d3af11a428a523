"""Whatever is in a payload: plain data comes back as it was, anything else becomes JSON, and the limit holds."""

from __future__ import annotations

import math
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards._markers import MARKER_KEYS, is_marker
from supervisor_guards._payload import decode, snapshot
from tests.payloads import Color, Model, Order, nothing_run


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
    with nothing_run():
        result = snapshot(value, limit)
    assert type(decode(result)) is dict
    assert len(result.body) <= limit
