"""What a payload becomes: JSON for plain data, markers for the rest, within a limit."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from supervisor_guards._markers import MARKER_KEYS, Unreadable, Unusable, is_marker
from supervisor_guards._payload import decode, snapshot
from tests.payloads import Color, nothing_run, taken, trap


@pytest.fixture(autouse=True)
def no_user_code() -> Iterator[None]:
    with nothing_run():
        yield


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
