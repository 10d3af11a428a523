"""What compiled conditions call: functions that refuse what would be unbounded, or mean nothing."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from supervisor_guards.policy.values import MarkerRead, RuleFailure, Unreadable

MAX_BITS = 1024
LARGEST = 2**MAX_BITS - 1
MAX_ITEMS = 10_000
MAX_DIGITS = 15
MAX_NUMBER_TEXT = 400
"""Characters `int` and `float` read: more than any number of 1,024 bits has."""
MAX_TEXT = 1_000_000
"""Characters of all strings in a list or object that `str` writes out."""
MAX_MATCH_TEXT = 65_536
MATCH_TIMEOUT = 0.005
"""Seconds for one `matches`."""
MATCH_BUDGET = 0.05
"""Seconds for all `matches` of one evaluation."""
WORK_BUDGET = 2_000_000
"""Units of `weight` the loops of one evaluation may read."""
CHARACTERS_PER_UNIT = 8

_NUMBERS = frozenset({int, float, bool})
Number = Any  # int | float; the checks are made when it runs


class Meter:
    """What one evaluation has used up: time in `matches`, and data read again and again in loops."""

    __slots__ = ("_weights", "match_seconds", "work")

    def __init__(self) -> None:
        self.match_seconds = MATCH_BUDGET
        self.work = WORK_BUDGET
        self._weights: dict[int, int] = {}

    def read(self, value: Any) -> Any:
        """`value`, which a loop reads once for each item, charged by its size.

        Without it, `any(x in payload.other for x in payload.items)` is quadratic in the payload.
        """
        kind = type(value)
        if kind is str:
            self.work -= 1 + len(value) // CHARACTERS_PER_UNIT
        elif kind is list or kind is dict:
            # The weight is kept by identity: payload values outlive the evaluation.
            known = self._weights.get(id(value))
            if known is None:
                known = self._weights[id(value)] = weight(value)
            self.work -= known
        if self.work < 0:
            raise RuleFailure("a loop reads too much data; compare fewer items, or a smaller list")
        return value

    def matches(self, pattern: Any, value: Any) -> bool:
        """Whether `pattern` is found anywhere in `value`. Raises `RuleFailure` when it takes too long.

        A timeout must not answer: as True it would open `not matches(...)`, as False `matches(...)`.
        """
        if type(value) is not str:
            readable(value)
            raise RuleFailure("matches() needs text")
        if len(value) > MAX_MATCH_TEXT:
            raise RuleFailure(f"matches() reads at most {MAX_MATCH_TEXT} characters")
        left = self.match_seconds
        if left <= 0:
            raise RuleFailure(f"the matches() of one evaluation may take {MATCH_BUDGET * 1000:.0f} ms")
        started = perf_counter()
        try:
            return pattern.search(value, timeout=min(MATCH_TIMEOUT, left)) is not None
        except TimeoutError:
            raise RuleFailure(f"matches() took longer than {MATCH_TIMEOUT * 1000:.0f} ms") from None
        finally:
            self.match_seconds = left - (perf_counter() - started)


def weight(value: Any) -> int:
    """The size of `value` in units: one an item, one for each 8 characters."""
    total = 0
    pending = [value]
    while pending:
        item = pending.pop()
        kind = type(item)
        if kind is str:
            total += 1 + len(item) // CHARACTERS_PER_UNIT
        else:
            total += 1
            if kind is dict:
                pending.extend(item)
                pending.extend(item.values())
            elif kind is list:
                pending.extend(item)
    return total


def readable(value: Any) -> Any:
    """`value`, unless it is a marker: for operations where Python would raise `TypeError` instead."""
    if type(value) is Unreadable:
        raise MarkerRead(f"the value could not be read ({value.kind.strip('_')})")
    return value


def number(value: Any) -> Number:
    """`value`, a finite number of at most 1,024 bits."""
    if type(value) not in _NUMBERS:
        readable(value)
        raise RuleFailure(f"needs a number, not {_named(value)}")
    if not -LARGEST <= value <= LARGEST:  # NaN and infinities too
        raise RuleFailure(f"a number is not finite, or larger than {MAX_BITS} bits")
    return value


def _arithmetic(operate: Callable[[Number, Number], Number]) -> Callable[[Any, Any], Number]:
    def checked(left: Any, right: Any) -> Number:
        return number(operate(number(left), number(right)))

    return checked


add = _arithmetic(operator.add)
subtract = _arithmetic(operator.sub)
multiply = _arithmetic(operator.mul)
divide = _arithmetic(operator.truediv)
floor_divide = _arithmetic(operator.floordiv)
modulo = _arithmetic(operator.mod)


def negative(value: Any) -> Number:
    return -number(value)


def positive(value: Any) -> Number:
    return +number(value)


def items(value: Any) -> Iterable[Any]:
    """What a loop runs over: a list. A string or an object where a list was expected is a failure."""
    if type(value) not in (list, tuple, set):
        readable(value)
        raise RuleFailure(f"a loop needs a list, not {_named(value)}")
    if len(value) > MAX_ITEMS:
        raise RuleFailure(f"a loop runs over at most {MAX_ITEMS} items")
    return value  # type: ignore[no-any-return]


def total(values: Iterable[Any]) -> Number:
    """`sum`, for numbers."""
    result: Number = 0
    for value in values:
        result = add(result, value)
    return result


def length(value: Any) -> int:
    """`len`. The length of a list whose end was cut off is not known."""
    if type(value) is list and value and type(value[-1]) is Unreadable and value[-1].kind == "__truncated__":
        raise MarkerRead("the list was truncated")
    return len(value)


def text(value: Any) -> str:
    """`str`. Lists and objects are written as Python writes them, bounded before, as quotes in quotes
    double at each level."""
    if type(value) is str:
        return value
    pending = [value]
    left = MAX_TEXT
    while pending:
        item = readable(pending.pop())
        kind = type(item)
        left -= len(item) if kind is str else 1
        if left < 0:
            raise RuleFailure(f"str() writes at most {MAX_TEXT} characters")
        if kind in _NUMBERS:
            number(item)
        elif kind is dict:
            pending.extend(item)
            pending.extend(item.values())
        elif kind is list or kind is tuple or kind is set:
            pending.extend(item)
    return str(value)


def _numeric(convert: Callable[[Any], Number]) -> Callable[[Any], Number]:
    def checked(value: Any) -> Number:
        if type(value) is str and len(value) > MAX_NUMBER_TEXT:
            raise RuleFailure(f"reads a number from at most {MAX_NUMBER_TEXT} characters")
        if type(value) is not str:
            number(value)
        return number(convert(value))

    return checked


integer = _numeric(int)
floating = _numeric(float)


def absolute(value: Any) -> Number:
    return abs(number(value))


def rounded(value: Any, digits: Any = None) -> Number:
    """`round`, to at most 15 digits."""
    if digits is None:
        return number(round(number(value)))
    if type(digits) is not int or abs(digits) > MAX_DIGITS:
        readable(digits)
        raise RuleFailure(f"round() takes a whole number of digits up to {MAX_DIGITS}")
    return number(round(number(value), digits))


def _named(value: Any) -> str:
    names = {str: "text", list: "a list", dict: "an object", type(None): "None"}
    return names.get(type(value), type(value).__name__)


FUNCTIONS: dict[str, tuple[str, int, int]] = {
    "len": ("_length", 1, 1),
    "str": ("_text", 1, 1),
    "int": ("_integer", 1, 1),
    "float": ("_floating", 1, 1),
    "bool": ("_bool", 1, 1),
    "abs": ("_absolute", 1, 1),
    "min": ("_min", 1, 100),
    "max": ("_max", 1, 100),
    "round": ("_rounded", 1, 2),
}
"""What a condition may call: the name in NAMESPACE, least and most arguments."""

LOOPS = {"any": "_any", "all": "_all", "sum": "_total"}

NAMESPACE: dict[str, Any] = {
    "__builtins__": {},
    "_Exception": Exception,
    "_Meter": Meter,
    "_absolute": absolute,
    "_add": add,
    "_all": all,
    "_any": any,
    "_bool": bool,
    "_divide": divide,
    "_floating": floating,
    "_floor_divide": floor_divide,
    "_integer": integer,
    "_items": items,
    "_length": length,
    "_max": max,
    "_min": min,
    "_modulo": modulo,
    "_multiply": multiply,
    "_negative": negative,
    "_positive": positive,
    "_readable": readable,
    "_rounded": rounded,
    "_subtract": subtract,
    "_text": text,
    "_total": total,
}
"""The globals of every compiled condition; nothing else is in reach."""
