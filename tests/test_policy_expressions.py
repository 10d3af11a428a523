"""Conditions: what is allowed and answers as Python does, what is refused and how, what can't get out."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from supervisor_guards.policy.expressions import ExpressionError, compile_condition
from supervisor_guards.policy.values import MarkerRead, RuleFailure

PAYLOAD: dict[str, Any] = {
    "amount": 250,
    "rate": 0.5,
    "currency": "USD",
    "reason": " Late Delivery ",
    "flag": True,
    "nothing": None,
    "count": 3,
    "customer": {"id": "c1", "tags": ["vip", "eu"], "address": {"country": "DE"}},
    "items": [{"sku": "a", "price": 10, "ok": True}, {"sku": "b", "price": 20.5, "ok": False}],
    "numbers": [1, 2, 3],
}
CONTEXT = {"user_id": "u1", "roles": ["agent"]}
REQUEST = {"method": "POST", "path": {"id": "7"}}

HOLDS = [
    "True",
    "payload.amount > 100",
    "payload['amount'] > 100",
    "payload.get('amount') > 100",
    "payload.get('missing') is None",
    "payload.get('missing', 5) == 5",
    "payload.nothing is None",
    "payload.amount is not None",
    "100 < payload.amount <= 250",
    "payload.amount == 250 and not payload.amount == 1 or False",
    "payload.currency in ('USD', 'EUR')",
    "payload.currency not in ['GBP']",
    "payload.currency in {'USD': 1}",
    "payload.currency in {'USD', 'EUR'}",
    "'vip' in payload.customer.tags",
    "'customer' in payload",
    "'Late' in payload.reason",
    "payload.customer.address.country == 'DE'",
    "payload.customer['address'].get('country') == 'DE'",
    "payload.customer.tags[0] == 'vip'",
    "payload.customer.tags[-1] == 'eu'",
    "payload.count == 3",  # a key that is a method's name too
    "payload.amount + 1 == 251",
    "payload.amount - 1 == 249",
    "payload.amount * 2 == 500",
    "payload.amount / 2 == 125",
    "payload.amount // 100 == 2",
    "payload.amount % 100 == 50",
    "-payload.amount < 0",
    "+payload.amount > 0",
    "-1 < 0",
    "payload.flag + payload.flag == 2",
    "('big' if payload.amount > 100 else 'small') == 'big'",
    "payload.reason.strip().lower() == 'late delivery'",
    "payload.reason.upper().startswith(' LATE')",
    "payload.reason.casefold().endswith('y ')",
    "payload.reason.lstrip() == 'Late Delivery '",
    "payload.reason.rstrip(' y') == ' Late Deliver'",
    "payload.currency.removeprefix('U').removesuffix('D') == 'S'",
    "payload.reason.split() == ['Late', 'Delivery']",
    "payload.reason.splitlines() == [' Late Delivery ']",
    "payload.reason.count('e') == 3",
    "payload.reason.find('D') == 6",
    "payload.currency.startswith(('US', 'EU'))",
    "payload.request_id.isdigit() if 'request_id' in payload else payload.currency.isalpha()",
    "'a1'.isalnum() and ' '.isspace()",
    "len(payload.items) == 2",
    "len(str(payload.get('prompt', ''))) == 0",
    "str(payload.amount) == '250'",
    "str(payload.numbers) == '[1, 2, 3]'",
    "int('12') == 12",
    "int(2.9) == 2",
    "float('0.5') == payload.rate",
    "bool(payload.items)",
    "abs(-3) == 3",
    "min(3, 1, 2) == 1",
    "max(payload.numbers) == 3",
    "round(2.567, 2) == 2.57",
    "round(2.4) == 2",
    "any(item.price > 20 for item in payload.items)",
    "all(item.price > 5 for item in payload.items if item.ok)",
    "sum(item.price for item in payload.items) == 30.5",
    "sum(1 for item in payload.items if item.ok) == 1",
    "any(x in ('eu', 'us') for x in payload.customer.tags)",
    "matches(payload.reason, 'late') or matches(payload.reason, r'(?i)\\blate\\b')",
    "context.user_id == 'u1' and 'agent' in context.roles",
    "request.method == 'POST' and request.path.id == '7'",
    "payload.amount > 100 # the limit",
    "payload.amount > 100\n  and payload.currency == 'USD'\n",
    "payload['currency'] == 'U' 'SD'",
    "payload == payload",
    "(1, 2) == (1, 2)",
]


@pytest.mark.parametrize("source", HOLDS)
def test_allowed_conditions_hold(source: str) -> None:
    assert compile_condition(source)(PAYLOAD, CONTEXT, REQUEST) is True
    assert compile_condition(f"not ({source}\n)")(PAYLOAD, CONTEXT, REQUEST) is False


FAILS = [
    "payload.missing > 1",
    "payload.missing.deeper == 1",
    "payload.get('missing').x == 1",
    "payload.nothing.get('x') == 1",
    "payload.get('missing').get('x') == 1",
    "payload.currency > 1",
    "payload.customer < 1",
    "payload.nothing > 1",
    "payload.numbers[7] == 1",
    "payload.amount.lower() == 'a'",
    "payload.currency.get('x') == 1",
    "payload.amount['x'] == 1",
    "payload.amount / 0 > 1",
    "payload.currency + payload.currency == ''",
    "payload.numbers + payload.numbers == []",
    "payload.currency * 3 == ''",
    "payload.currency % payload.amount == ''",
    "payload.numbers * 100 == []",
    "-payload.currency == 1",
    "payload.numbers in {1, 2}",
    "len(payload.amount) == 1",
    "int(payload.currency) == 1",
    "int(payload.nothing) == 1",
    "float('nan') == 1",
    "float('inf') > 1",
    "float('1e999') > 1",
    "abs(payload.currency) == 1",
    "round(1.5, 16) == 1",
    "round(1.5, -400) == 1",
    "round(1.5, 'x') == 1",
    "sum(tag for tag in payload.customer.tags) == 0",
    "any(x == 'U' for x in payload.currency)",
    "any(x == 'id' for x in payload.customer)",
    "any(x == 1 for x in payload.nothing)",
    "matches(payload.amount, '2')",
    "1e308 * 10 > 1",
    "payload.rate * 1e308 * 1e308 > 1",
    "payload.reason.split('') == []",
]


@pytest.mark.parametrize("source", FAILS)
def test_conditions_without_an_answer_fail(source: str) -> None:
    condition = compile_condition(source)

    with pytest.raises(RuleFailure) as failure:
        condition(PAYLOAD, CONTEXT, REQUEST)

    assert not isinstance(failure.value, MarkerRead)
    assert "USD" not in str(failure.value)


REFUSED = [
    ("", "empty"),
    ("amount > 5", "write payload.amount"),
    ("paylod.amount > 5", "write payload"),
    ("true", "write True"),
    ("payload.x == null", "write None"),
    ("payload.x = 5", "write =="),
    ("payload.x && payload.y", "write `and`"),
    ("payload.x || payload.y", "write `or`"),
    ("!payload.x", "write `not`"),
    ("payload.x === 5", "write =="),
    ("return payload.x", "without `return`"),
    ("import os", "nothing can be imported"),
    ("payload.x is True", "write == or !="),
    ("payload.x is payload.y", "write == or !="),
    ("payload.x ** 2 > 5", "multiply"),
    ("payload.x << 2 > 5", "multiply"),
    ("payload.x & payload.y", "write `and`"),
    ("payload.x | payload.y", "write `or`"),
    ("~payload.x", "write `not`"),
    ("payload.x[1:2] == 'a'", ".startswith"),
    ("[x for x in payload.items]", "write any"),
    ("{x for x in payload.items}", "write any"),
    ("{x: 1 for x in payload.items}", "write any"),
    ("len(x for x in payload.items)", "directly inside any"),
    ("any([x for x in payload.items])", "write any(... for x in list)"),
    ("any(payload.items)", "write any(... for x in list)"),
    ("sum(payload.items, 5)", "write sum(... for x in list)"),
    ("any(x > y for x in payload.a for y in payload.b)", "only one `for`"),
    ("any(any(y for y in x) for x in payload.a)", "a loop inside a loop"),
    ("any(x for x in payload.a if x if x)", "join the two with `and`"),
    ("any(x for x, y in payload.a)", "one variable"),
    ("any(payload for payload in payload.a)", "for item in list"),
    ("any(_hits for _hits in payload.a)", "for item in list"),
    ("any(len for len in payload.a)", "for item in list"),
    ("any(x for x in payload.a) and x", "x is not known here"),
    ("payload.name.format(1) == ''", "there are: get, lower"),
    ("payload.name.lowerr() == ''", "write .lower(...)"),
    ("payload.name.replace('a', 'b') == ''", "not available"),
    ("','.join(payload.a) == ''", "not available"),
    ("payload.name.ljust(5) == ''", "not available"),
    ("payload.name.encode() == ''", "not available"),
    ("payload.keys() == []", "not available"),
    ("payload.name.strip(payload.chars) == ''", "written in the policy"),
    ("payload.get('x', default=5)", "in order"),
    ("payload.get() == 1", "1 to 2 arguments"),
    ("len(payload, 5)", "1 arguments"),
    ("int('ff', 16) == 255", "1 arguments"),
    ("lenn(payload)", "write len(...)"),
    ("isinstance(payload.x, str)", "drop the test"),
    ("re.match('a', payload.x)", "not available"),
    ("re", "write matches"),
    ("len > 5", "write len(...)"),
    ("payload.x(5)", "not available"),
    ("matches(payload.x, payload.y)", "written in the policy"),
    ("matches(payload.x)", "2 arguments"),
    ("matches(payload.x, '(')", "not valid"),
    ("matches(payload.x, '(a{1000}){1000}')", "multiply to at most"),
    ("matches(payload.x, '" + "a" * 501 + "')", "at most 500"),
    ("'a' + payload.x == 'ab'", "numbers only"),
    ("[1] * 5 == []", "numbers only"),
    ("f'{payload.x}' == 'a'", "compare the parts"),
    ("b'a' == payload.x", "bytes is not possible"),
    ("1j == payload.x", "complex is not possible"),
    ("... == payload.x", "write a number"),
    ("1e999 > payload.x", "1024 bits"),
    ("{**payload} == {}", "one by one"),
    ("[*payload.a] == []", "one by one"),
]


@pytest.mark.parametrize(("source", "hint"), REFUSED)
def test_refusals_say_what_to_write_instead(source: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        compile_condition(source)

    assert hint in refused.value.message


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("amount > 5", 1, 1),
        ("payload.a > 5 and amount > 5", 1, 19),
        ("payload.a > 5\nand amount > 5", 2, 5),
        ("amount > 5\nand payload.a", 1, 1),
        ("payload.a ==", 1, 13),
        ("matches(payload.a, '(')", 1, 20),
        ("payload.a > 5 and ｐayload.b", 1, 19),  # noqa: RUF001
    ],
)
def test_refusals_give_the_place(source: str, line: int, column: int) -> None:
    with pytest.raises(ExpressionError) as refused:
        compile_condition(source)

    assert (refused.value.line, refused.value.column) == (line, column)


def test_limits_of_the_text() -> None:
    for source in ["payload.a > 1" + " " * 4000, " or ".join(["payload.a"] * 300), "not " * 41 + "True"]:
        with pytest.raises(ExpressionError, match="split the rule"):
            compile_condition(source)


def test_fields_are_the_dotted_paths_a_rule_reads() -> None:
    condition = compile_condition(
        "payload.customer['email'].lower() == context.get('email', payload.fallback) and payload.amount > 5 "
        "and any(item.price * 2 > 1 for item in payload['items']) and payload.table[payload.key] == request.x[0]"
    )

    assert condition.fields == {
        "payload.customer.email",
        "context.email",
        "payload.fallback",
        "payload.amount",
        "payload.items",
        "payload.items.price",
        "payload.table",
        "payload.key",
        "request.x",
    }
    assert condition.numeric_fields == {"payload.amount", "payload.items.price"}


def test_published_conditions_load_unchanged() -> None:
    payload = {"amount": 10001, "reason": "x", "prompt": "p" * 50001}
    for source in [
        "payload['amount'] > 10000",
        "payload.get('reason') == 'x'",
        "len(str(payload.get('prompt', ''))) > 50000",
    ]:
        assert compile_condition(source)(payload)


def test_no_attribute_is_ever_read() -> None:
    methods = {"append", "read", "matches"}
    for source in HOLDS:
        for node in ast.walk(compile_condition(source).expression):
            if isinstance(node, ast.Attribute):
                called = isinstance(node.value, ast.Name) and node.value.id == "_meter"
                assert not node.attr.startswith("_")
                assert called == (node.attr in methods)
