"""What a condition must not contain, and what to write instead."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable

from supervisor_guards.policy.runtime import FUNCTIONS, LOOPS

ROOTS = ("payload", "context", "request")

METHODS: dict[str, tuple[int, int]] = {
    "get": (1, 2),
    "lower": (0, 0),
    "upper": (0, 0),
    "casefold": (0, 0),
    "strip": (0, 1),
    "lstrip": (0, 1),
    "rstrip": (0, 1),
    "removeprefix": (1, 1),
    "removesuffix": (1, 1),
    "startswith": (1, 1),
    "endswith": (1, 1),
    "split": (0, 2),
    "splitlines": (0, 0),
    "count": (1, 1),
    "find": (1, 1),
    "isdigit": (0, 0),
    "isalpha": (0, 0),
    "isalnum": (0, 0),
    "isspace": (0, 0),
}
"""The methods, with least and most arguments."""

LITERAL_ARGUMENT = frozenset({"strip", "lstrip", "rstrip"})
"""Methods whose cost is the product of both texts: the second one must be in the policy."""


class Refused(Exception):
    """`node` can't stand in a condition; the text says why and what to write."""

    def __init__(self, node: ast.AST, message: str) -> None:
        self.node = node
        super().__init__(message)


_REFUSED: dict[type[ast.AST], str] = {
    ast.Lambda: "a lambda is not possible here; write the comparison itself",
    ast.NamedExpr: "`:=` is not possible here; repeat the expression",
    ast.JoinedStr: "an f-string is not possible here; compare the parts one by one",
    ast.ListComp: "a list of its own is not possible here; write any(...), all(...) or sum(... for x in list)",
    ast.SetComp: "a set of its own is not possible here; write any(...), all(...) or sum(... for x in list)",
    ast.DictComp: "an object of its own is not possible here; write any(... for x in list)",
    ast.GeneratorExp: "`for` stands only directly inside any(...), all(...) or sum(...)",
    ast.Starred: "`*` in front of a value is not possible here; write the values one by one",
    ast.Slice: "a slice is not possible here; write .startswith(...), .endswith(...) or an index",
    ast.Await: "`await` is not possible here; put what you need into the payload or the context",
    ast.Yield: "`yield` is not possible here; write a condition",
    ast.YieldFrom: "`yield` is not possible here; write a condition",
    ast.Pow: "`**` is not possible here; multiply, or write the number",
    ast.LShift: "`<<` is not possible here; multiply",
    ast.RShift: "`>>` is not possible here; write //",
    ast.BitAnd: "`&` is not possible here; write `and`",
    ast.BitOr: "`|` is not possible here; write `or`",
    ast.BitXor: "`^` is not possible here; write !=",
    ast.MatMult: "`@` is not possible here; write * between numbers",
    ast.Invert: "`~` is not possible here; write `not`",
}

_NAMES = {
    "true": "write True",
    "false": "write False",
    "null": "write None",
    "none": "write None",
    "undefined": "write None",
    "re": "write matches(value, 'pattern')",
    "regex": "write matches(value, 'pattern')",
    "format": "compare the parts one by one",
    "isinstance": "a value of the wrong type makes the rule fail by itself; drop the test",
    "type": "a value of the wrong type makes the rule fail by itself; drop the test",
    "getattr": "write payload.get('name', default)",
    "hasattr": "write 'name' in payload",
    "sorted": "write min(...) or max(...)",
    "set": "write any(x in [...] for x in list)",
    "list": "write the list itself",
    "now": "put the time into the payload or the context",
    "datetime": "put the time into the payload or the context",
}

_SYNTAX = (
    ("&&", "write `and` instead of &&"),
    ("||", "write `or` instead of ||"),
    ("===", "write == instead of ==="),
    ("!==", "write != instead of !=="),
    ("<>", "write != instead of <>"),
    ("=>", "write >= instead of =>"),
    (" then ", "write `a if condition else b`"),
    ("!", "write `not` instead of !"),
    ("$", "write payload.name instead of $name"),
    (";", "write one condition; join two with `and`"),
    ("import ", "write a condition; nothing can be imported"),
    ("return ", "write the condition alone, without `return`"),
)


def refusal(node: ast.AST) -> str:
    """Why `node` can't stand in a condition, and what to write."""
    known = _REFUSED.get(type(node))
    if known is not None:
        return known
    return (
        f"{type(node).__name__} is not possible here; write comparisons, `and`, `or`, `not`, `in`, "
        "arithmetic and the functions of the policy language"
    )


def unknown_name(name: str, known: Iterable[str]) -> str:
    """What to write instead of the name `name`."""
    if name in FUNCTIONS or name in LOOPS or name == "matches":
        return f"{name} is a function; write {name}(...)"
    if name in _NAMES:
        return f"{name} is not known here; {_NAMES[name]}"
    if name.startswith("__"):
        return f"{name} is not known here; a condition sees payload, context and request only"
    close = difflib.get_close_matches(name, tuple(known), n=1)
    return f"{name} is not known here; write {close[0] if close else f'payload.{name}'}"


def unknown_function(name: str) -> str:
    """What to write instead of a call of `name`."""
    if name in _NAMES:
        return f"{name}() is not available; {_NAMES[name]}"
    choices = (*FUNCTIONS, *LOOPS, "matches")
    close = difflib.get_close_matches(name, choices, n=1)
    return f"{name}() is not available; {_instead(close, choices)}"


def unknown_method(name: str) -> str:
    """What to write instead of a call of the method `name`."""
    close = difflib.get_close_matches(name, METHODS, n=1)
    return f".{name}() is not available; {_instead([f'.{one}' for one in close], METHODS)}"


def _instead(close: list[str], choices: Iterable[str]) -> str:
    return f"write {close[0]}(...)" if close else f"there are: {', '.join(choices)}"


def syntax_hint(source: str, message: str) -> str:
    """What to write instead of text that isn't an expression."""
    for sign, hint in _SYNTAX:
        if sign in source:
            return hint
    if "=" in source.replace("==", "").replace("<=", "").replace(">=", "").replace("!=", ""):
        return "write == to compare"
    return f"write one Python expression ({message})"
