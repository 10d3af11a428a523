"""Random conditions over random data answer as Python itself does; markers never answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor_guards._markers import MARKER_KEYS, is_marker
from supervisor_guards.policy.expressions import compile_condition
from supervisor_guards.policy.values import MarkerRead, RuleFailure, seal

KEYS = ("a", "b", "c")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-50, 50),
    st.floats(-50, 50, allow_nan=False).map(lambda value: round(value, 2)),
    st.text("abAB 1", max_size=4),
)
data = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)
payloads = st.fixed_dictionaries(dict.fromkeys(KEYS, data))

literals = st.one_of(
    st.integers(0, 20).map(str),
    st.sampled_from(["0.5", "'a'", "'ab'", "''", "True", "None", "[1, 'a']", "('a', 1)", "{'a', 1}", "{'a': 1}"]),
)
paths = st.lists(st.sampled_from(KEYS), min_size=1, max_size=2).map(
    lambda keys: "payload" + "".join(f"['{key}']" for key in keys)
)
reads = st.one_of(paths, st.sampled_from(KEYS).map(lambda key: f"payload.get('{key}', 0)"))


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    comparison = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
    methods = st.sampled_from(["lower()", "upper()", "strip()", "split()", "count('a')", "find('a')", "isdigit()"])
    functions = st.sampled_from(["len", "str", "bool", "abs", "round", "min", "max"])
    return st.one_of(
        st.tuples(inner, comparison, inner).map(lambda part: f"({part[0]} {part[1]} {part[2]})"),
        st.tuples(inner, comparison, inner, comparison, inner).map(lambda part: f"({' '.join(part)})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda part: f"({' '.join(part)})"),
        st.tuples(paths, st.sampled_from(["+", "-", "*", "/", "//", "%"]), paths).map(
            lambda part: f"(number({part[0]}) {part[1]} number({part[2]}))"
        ),
        inner.map(lambda part: f"(not {part})"),
        inner.map(lambda part: f"({part} is None)"),
        inner.map(lambda part: f"({part} is not None)"),
        st.tuples(inner, inner, inner).map(lambda part: f"({part[0]} if {part[1]} else {part[2]})"),
        st.tuples(reads, methods).map(lambda part: f"{part[0]}.{part[1]}"),
        st.tuples(functions, reads).map(lambda part: f"{part[0]}({part[1]})"),
    )


loopless = st.recursive(st.one_of(literals, reads), _combined, max_leaves=6)
loops = st.tuples(st.sampled_from(["any", "all"]), loopless, paths, loopless).map(
    lambda part: f"{part[0]}({part[1]} == x for x in items({part[2]}) if {part[3]})"
)
expressions = loopless | loops | st.tuples(loops, loopless).map(" or ".join)


def _number(value: Any) -> Any:
    """Where the language is stricter than Python: arithmetic is for numbers."""
    if not isinstance(value, (int, float)):
        raise TypeError
    return value


def _items(value: Any) -> Any:
    """And loops are for lists."""
    if not isinstance(value, list):
        raise TypeError
    return value


def _strict(function: Any) -> Any:
    return lambda value: function(_number(value))


PYTHON = {
    "__builtins__": {},
    "number": _number,
    "items": _items,
    "abs": _strict(abs),
    "round": _strict(round),
    **{function.__name__: function for function in (len, str, bool, min, max, any, all)},
}


@settings(max_examples=150, deadline=None)
@given(expressions, payloads)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_answers_as_python_does(source: str, payload: dict[str, Any]) -> None:
    condition = compile_condition(source.replace("number(", "(").replace("items(", "("))
    try:
        expected = bool(eval(source, {**PYTHON, "payload": payload}))
    except Exception:
        with pytest.raises(RuleFailure):
            condition(payload)
    else:
        assert condition(payload) is expected


READS = [
    "payload.x == 1",
    "payload.x != 1",
    "1 == payload.x",
    "payload.x > 1",
    "1 > payload.x",
    "payload.x == None",
    "payload.x is None",
    "payload.x is not None",
    "payload.get('x') is None",
    "payload.x == payload.x",
    "payload.x in (1, 2)",
    "payload.x in {1, 2}",
    "payload.x in 'abc'",
    "payload.x in payload.text",
    "payload.x not in payload.list",
    "'a' in payload.x",
    "'__redacted__' in payload.x",
    "payload.x",
    "not payload.x",
    "payload.x and True",
    "payload.x or False",
    "1 if payload.x else 2",
    "payload.x.y == 1",
    "payload.x['length'] == 3",
    "payload.x.get('y', 1) == 1",
    "payload.x[0] == 1",
    "payload.list[payload.x] == 1",
    "payload[payload.x] == 1",
    "payload.get(payload.x) == 1",
    "payload.x.lower() == ''",
    "payload.x.startswith('a')",
    "payload.text.startswith(payload.x)",
    "payload.text.split(payload.x) == []",
    "payload.text.count(payload.x) == 0",
    "payload.x + 1 > 0",
    "1 * payload.x > 0",
    "-payload.x > 0",
    "len(payload.x) == 2",
    "str(payload.x) == ''",
    "int(payload.x) == 0",
    "float(payload.x) == 0",
    "bool(payload.x)",
    "abs(payload.x) == 0",
    "min(payload.x, 1) == 0",
    "max([1, payload.x]) == 0",
    "round(payload.x) == 0",
    "round(1.5, payload.x) == 0",
    "any(y for y in payload.x)",
    "any(y == 1 for y in payload.marked)",
    "all(payload.x for y in payload.list)",
    "sum(y for y in payload.marked) > 0",
    "matches(payload.x, 'a')",
    "payload.marked == [5]",
    "5 in payload.marked",
    "str(payload.marked) == ''",
    "payload.nested == {'deep': [1]}",
    "[payload.x] == [1]",
    "{'a': payload.x}['a'] == 1",
    "{payload.x} == {1}",
]


@pytest.mark.parametrize("source", READS)
@pytest.mark.parametrize("key", ["__redacted__", "__truncated__"])
def test_a_marker_never_answers(source: str, key: str) -> None:
    marker = {key: True, "length": 3}
    payload = {"x": marker, "list": [1, 2], "text": "abc", "marked": [marker], "nested": {"deep": [marker]}}

    with pytest.raises(MarkerRead):
        compile_condition(source)(payload)


def test_what_lies_beside_a_marker_can_be_read() -> None:
    payload = {"x": {"__redacted__": True}, "amount": 5, "list": [{"id": 1, "secret": {"__redacted__": True}}]}

    assert compile_condition("payload.amount == 5 and any(item.id == 1 for item in payload.list)")(payload)
    assert compile_condition("'x' in payload and len(payload.list) == 1 and payload.amount == 5 or payload.x")(payload)


def test_the_whole_payload_as_a_marker() -> None:
    for source in ["payload.amount > 5", "payload.get('amount', 0) > 5", "'amount' in payload", "len(payload) == 1"]:
        with pytest.raises(MarkerRead):
            compile_condition(source)({"__truncated__": True, "length": 90000})


def test_the_length_of_a_truncated_list_is_not_known() -> None:
    with pytest.raises(MarkerRead):
        compile_condition("len(payload.x) > 5")({"x": [1, 2, {"__truncated__": True}]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), b"bytes", object(), {1}, (1,)])
def test_what_json_does_not_hold_is_unreadable(value: Any) -> None:
    with pytest.raises(MarkerRead):
        compile_condition("payload.x > 5")({"x": value})


def test_every_marker_key_makes_a_marker() -> None:
    assert all(is_marker({"length": 1, key: True}) for key in MARKER_KEYS)
    assert not any(map(is_marker, [{}, {"a": 1}, {"__other__": 1}, ["__redacted__"], "__redacted__", None]))


def test_sealing_leaves_the_data_as_it_is() -> None:
    payload = {"a": [{"b": {"__bytes__": 3}}], "c": {"d": [1]}}
    sealed = seal(payload)

    assert payload == {"a": [{"b": {"__bytes__": 3}}], "c": {"d": [1]}}
    assert sealed["c"] is payload["c"]
    assert type(sealed["a"][0]["b"]).__name__ == "Unreadable"
