"""What an approval is bound to: the content, whatever its order; another content is another digest."""

from __future__ import annotations

import decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from supervisor_guards._digest import digest
from supervisor_guards._payload import snapshot

KEY = b"k" * 32


def of(payload: Any, *, key: bytes = KEY, action_type: str = "refund", limit: int = 65_536) -> str | None:
    return digest(key, action_type, snapshot(payload, limit))


def test_it_is_keyed_and_covers_the_action_type() -> None:
    values = {of({"a": 1}), of({"a": 1}, key=b"other"), of({"a": 1}, action_type="payout")}
    assert len(values) == 3
    assert all(value is not None and len(value) == 64 for value in values)


fields = st.dictionaries(
    st.text(max_size=5),
    st.integers() | st.text(max_size=5) | st.binary(max_size=4) | st.booleans() | st.lists(st.integers(), max_size=3),
    max_size=5,
)


@given(fields, st.randoms())
def test_the_order_of_fields_does_not_matter(payload: dict[str, Any], random: Any) -> None:
    pairs = list(payload.items())
    random.shuffle(pairs)
    assert snapshot(dict(pairs)) == snapshot(payload)
    assert of(dict(pairs)) == of(payload)
    assert of({"deep": [dict(pairs)]}) == of({"deep": [payload]})


@given(fields, fields)
def test_another_content_is_another_digest(left: dict[str, Any], right: dict[str, Any]) -> None:
    assume(repr(sorted(left.items())) != repr(sorted(right.items())))
    assert of(left) != of(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (b"aaa", b"bbb"),
        ([b"a", b"b"], [b"b", b"a"]),
        ({b"a"}, {b"b"}),
        ("\ud800", "\ud801"),
        (2**20_000, 2**20_001),
        (decimal.Decimal("1E+400"), decimal.Decimal("2E+400")),
        ({(1,): "a"}, {(2,): "a"}),
        ({"__object__": "a"}, {"__object__": "b"}),
        (1, 1.0),
        (1, True),
        (1, "1"),
        ("4111111111111111", "4242424242424242"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_marker_does_not_make_two_contents_one(left: Any, right: Any) -> None:
    assert of({"v": left}) != of({"v": right})
    assert of({"v": left}) == of({"v": left})


def test_a_decimal_is_the_number_it_is_written_as() -> None:
    assert of({"v": decimal.Decimal("1")}) == of({"v": 1})
    assert of({"v": decimal.Decimal("1.0")}) == of({"v": 1.0})


def test_truncation_changes_nothing_while_all_was_read() -> None:
    payload = {"note": "x" * 3_000, "amount": 1, "file": b"abc"}
    assert snapshot(payload, 1_000).truncated
    assert of(payload, limit=1_000) == of(payload)
    assert of({**payload, "note": "y" * 3_000}, limit=1_000) != of(payload, limit=1_000)


@pytest.mark.parametrize("unread", ["x" * 100_000, [[[]]] * 100_000, bytes(100_000)])
def test_what_was_not_read_has_no_digest(unread: Any) -> None:
    assert of({"v": unread}, limit=1_000) is None


def test_what_lies_too_deep_to_be_read_has_no_digest() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert of({"v": deep}) is None
