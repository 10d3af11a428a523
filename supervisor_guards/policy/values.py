"""The data a rule sees: plain JSON values, and one opaque value in place of everything else."""

from __future__ import annotations

import math
from typing import Any, NoReturn

from supervisor_guards._markers import MARKER_KEYS

MAX_DEPTH = 100
"""Levels of nesting a rule can see; deeper values are unreadable (comparing them would recurse)."""

_SCALARS = frozenset({str, int, bool, type(None)})


class RuleFailure(Exception):
    """A condition has no answer for this payload. Its text never holds a value of the payload."""


class MarkerRead(RuleFailure):
    """A condition read a marker: what was there is not known."""


class Unreadable:
    """Stands where a marker was. Every way of reading it raises `MarkerRead`.

    This is what keeps the compiled rules native: `payload['amount'] == 5` needs no check of its own, since
    Python asks the operand, and the operand refuses.
    """

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind
        """The marker's key, such as `__truncated__`."""

    def _refuse(self, *_: object) -> NoReturn:
        raise MarkerRead(f"the value could not be read ({self.kind.strip('_')})")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = __bool__ = __len__ = __iter__ = __contains__ = _refuse
    __getitem__ = __index__ = __int__ = __float__ = __str__ = _refuse
    get = lower = upper = casefold = strip = lstrip = rstrip = removeprefix = removesuffix = _refuse
    startswith = endswith = split = splitlines = count = find = _refuse
    isdigit = isalpha = isalnum = isspace = _refuse

    def __repr__(self) -> str:
        return f"Unreadable({self.kind!r})"


def seal(value: Any, depth: int = 0) -> Any:
    """`value` with an `Unreadable` for each marker and for whatever isn't plain JSON.

    Containers are copied only where something in them changes; the caller's data stays as it is.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is float:
        return value if math.isfinite(value) else Unreadable("__nonfinite__")
    if kind is dict:
        return _seal_dict(value, depth)
    if kind is list:
        return _seal_list(value, depth)
    return Unreadable("__object__")


def _seal_dict(value: dict[Any, Any], depth: int) -> Any:
    if not MARKER_KEYS.isdisjoint(value):
        return Unreadable(next(key for key in value if key in MARKER_KEYS))
    if depth >= MAX_DEPTH:
        return Unreadable("__depth__")
    sealed = value
    for key, item in value.items():
        if type(item) in _SCALARS:
            continue
        safe = seal(item, depth + 1)
        if safe is not item:
            if sealed is value:
                sealed = dict(value)
            sealed[key] = safe
    return sealed


def _seal_list(value: list[Any], depth: int) -> Any:
    if depth >= MAX_DEPTH:
        return Unreadable("__depth__")
    sealed = value
    for index, item in enumerate(value):
        if type(item) in _SCALARS:
            continue
        safe = seal(item, depth + 1)
        if safe is not item:
            if sealed is value:
                sealed = list(value)
            sealed[index] = safe
    return sealed
