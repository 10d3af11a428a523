"""What the payload's tests share: what a policy would see of a value, and objects that notice when they are run."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import types
from collections.abc import Iterator
from typing import Any

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


@contextlib.contextmanager
def nothing_run() -> Iterator[None]:
    """The block runs nothing of those objects."""
    calls.clear()
    yield
    assert calls == []


class Model:
    """Shaped as Django's: `_meta` on the class, fields in the instance."""

    _meta = types.SimpleNamespace(pk=types.SimpleNamespace(attname="number"))
    pk = property(trap("pk"))

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    __str__ = trap("__str__")
    __getattr__ = trap("__getattr__")


@dataclasses.dataclass
class Order:
    number: str
    lines: list[int]

    @property
    def total(self) -> int:
        calls.append("total")
        return 1


class Color(enum.Enum):
    RED = "red"
    ODD = object()

    @property
    def value(self) -> Any:
        calls.append("value")
        return "spoof"
