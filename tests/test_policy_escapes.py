"""Nothing gets out of a condition, and nothing in it runs or allocates without bound."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor_guards.policy.expressions import ExpressionError, compile_condition
from supervisor_guards.policy.values import RuleFailure

REFUSED = [
    "().__class__.__bases__[0].__subclasses__()",
    "payload.__class__",
    "payload.__class__.__mro__",
    "payload.__init__.__globals__",
    "payload.get.__self__.__class__",
    "''.__class__.__base__",
    "(1).__class__",
    "payload.x.__getattribute__('y')",
    "getattr(payload, '__class__')",
    "setattr(payload, 'x', 1)",
    "hasattr(payload, 'x')",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "open('/etc/passwd')",
    "print(payload)",
    "input()",
    "vars()",
    "globals()",
    "locals()",
    "dir(payload)",
    "type(payload)",
    "object()",
    "super()",
    "iter(payload)",
    "breakpoint()",
    "memoryview(b'a')",
    "__import__('os').system('id')",
    "__builtins__",
    "__builtins__['eval']",
    "__name__",
    "_Exception",
    "_hits",
    "_hits.append(1)",
    "_meter",
    "_failures",
    "judge",
    "lambda: payload",
    "(lambda x: x)(1)",
    "(y := payload)",
    "any((y := x) for x in payload.a)",
    "any(x for x in payload.a if any(z for z in x))",
    "[payload for payload in [1]]",
    "(x for x in payload.a)",
    "f'{payload.__class__}'",
    "f'{payload!r:>1000000000}'",
    "'{0.__class__}'.format(payload)",
    "'{x.__class__}'.format_map(payload)",
    "'%1000000000d' % 1",
    "'a' * 10**9",
    "'a' * 1000000000",
    "[0] * 1000000000",
    "(0,) * 1000000000",
    "9**9**9",
    "2 ** payload.n",
    "1 << 10000000",
    "payload.get(*payload.a)",
    "payload.get(**payload)",
    "len(*[payload])",
    "max(payload.a, key=len)",
    "print(*payload)",
    "await payload",
    "(yield)",
    "(yield from payload)",
    "payload.x.ljust(1000000000)",
    "payload.x.zfill(1000000000)",
    "payload.x.center(1000000000)",
    "payload.x.expandtabs(1000000000)",
    "payload.x.translate({})",
    "payload.x.join(payload.a)",
    "payload.update(payload)",
    "payload.clear()",
    "payload.pop('x')",
    "payload.a.append(1)",
    "range(10**9)",
    "sum(range(1000000000))",
    "ｐayload.x",  # noqa: RUF001
    "payload.ｘ",  # noqa: RUF001
    "payload.naïve",
    "\x00",
    "payload.x; import os",
    "payload.x\nimport os",
    "payload.x) or (__import__('os')",
    "payload.x\n) or (__import__('os')",
    "(" * 1000 + ")" * 1000,
    "[" * 150 + "]" * 150,
    "-" * 3000 + "1",
    "not " * 900 + "True",
    "payload" + ".a" * 1900,
    "payload" + "[0]" * 1000,
    "9" * 3990,
    "0x" + "f" * 3000 + " > 1",
    "1e400 > 0",
    "'" + "\\ud800" * 10 + "'.encode()",
    "matches(payload.x, '" + "(" * 400 + "')",
    "matches(payload.x, '(a{9999}){9999}')",
]


@pytest.mark.parametrize("source", REFUSED)
def test_probe_is_refused(source: str) -> None:
    with pytest.raises(ExpressionError):
        compile_condition(source)


LARGE = "a" * 1_000_000
HARMLESS: list[tuple[str, dict[str, Any]]] = [
    ("payload['__class__'] == 1", {}),
    ("payload.get('__class__').x == 1", {}),
    ("payload.x * payload.n == 1", {"x": "a", "n": 10**9}),
    ("payload.n * payload.x == 1", {"x": [0], "n": 10**9}),
    ("payload.x % payload.n == ''", {"x": "%1000000000d", "n": 1}),
    ("payload.x + payload.x == 1", {"x": LARGE}),
    (" * ".join(["payload.n"] * 30) + " > 1", {"n": 10**300}),
    ("payload.n * payload.n > 1", {"n": 2**1000}),
    ("payload.n + 1 > 1", {"n": 2**5000}),
    ("str(payload.n) == ''", {"n": 2**5000}),
    ("int(payload.x) == 1", {"x": "9" * 100_000}),
    ("float(payload.x) == 1", {"x": "9" * 100_000}),
    ("matches(payload.x, '(a+)+$')", {"x": LARGE + "!"}),
    ("matches(payload.x, '(a+)+$')", {"x": "a" * 60_000 + "!"}),
    ("not matches(payload.x, '^(a|aa)+$')", {"x": "a" * 60_000 + "!"}),
    ("matches(payload.x, '^(a|a?)+$')", {"x": "a" * 60_000 + "!"}),
    ("any(x in payload.y for x in payload.x)", {"x": list(range(10_000)), "y": list(range(-30_000, 0))}),
    ("any(payload.y.split('b') == [x] for x in payload.x)", {"x": [0] * 10_000, "y": "ab" * 30_000}),
    ("any(payload.y.lower() == x for x in payload.x)", {"x": [0] * 10_000, "y": "A" * 60_000}),
    ("any(payload.y != payload.z for x in payload.x)", {"x": [0] * 10_000, "y": [0] * 30_000, "z": [0] * 30_000}),
    ("sum(x * x for x in payload.x) > 1", {"x": [10**200] * 10_000}),
    ("any(x for x in payload.x)", {"x": [0] * 10_001}),
    ("any(matches(x, '(a+)+$') for x in payload.x)", {"x": ["a" * 5_000 + "!"] * 10_000}),
    ("str(payload.x) == ''", {"x": [LARGE, LARGE]}),
]


@pytest.mark.parametrize(("source", "payload"), HARMLESS)
def test_probe_fails_instead_of_running_on(source: str, payload: dict[str, Any]) -> None:
    condition = compile_condition(source)

    with pytest.raises(RuleFailure):
        condition(payload)


def test_text_of_text_does_not_grow_without_bound() -> None:
    source = "payload.x"
    for _ in range(18):
        source = f"str([{source}])"

    with pytest.raises(RuleFailure):
        compile_condition(f"{source} == ''")({"x": "\\'\"" * 1000})


def test_deep_data_is_unreadable_instead_of_recursing() -> None:
    deep: Any = []
    other: Any = []
    for _ in range(5000):
        deep, other = [deep], [other]

    with pytest.raises(RuleFailure):
        compile_condition("payload.x == payload.y")({"x": deep, "y": other})


def test_a_membership_test_of_ordinary_size_is_within_the_budget() -> None:
    payload = {"recipients": [f"u{n}@example.com" for n in range(200)], "known": [f"k{n}@x.org" for n in range(1000)]}

    assert not compile_condition("any(r in payload.known for r in payload.recipients)")(payload)
