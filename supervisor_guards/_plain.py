"""Any object as plain data, without asking it anything.

No `__str__`, `__repr__`, `__iter__`, `__len__`, `__eq__`, `__hash__`, property or `__class__` of a user's class
(or metaclass) is run: a lazy query would reach for the database, a mock would answer anything. Base types are
read by their own unbound methods, classes are told apart by identity.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any
from uuid import UUID

import msgspec

from supervisor_guards._encode import (
    base_of,
    declares_fields,
    instance_dict,
    is_numpy_scalar,
    model,
    module_of,
    mro,
    named,
    stored_fields,
)
from supervisor_guards._markers import MARKER_KEYS, Unreadable

MAX_DEPTH = 64
MAX_INT = 1 << 14_000
"""Python itself refuses to write integers of more than 4,300 digits (CVE-2020-10735)."""
_MARKER_COST = 24

encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
_slice = slice(None)
_ZONE_MODULES = ("zoneinfo", "pytz", "dateutil")
"""Time zones whose `utcoffset` is known to compute and nothing else."""


class TooLarge(Exception):
    """There is more to read than the walk may."""


class Walk:
    """One walk over one value, which reads about `budget` bytes at most.

    `lost` has a hash for each value whose marker doesn't show its content: two payloads with the same markers
    and other content stay apart. `unread` says that some content was not looked at, so nothing can.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._open: set[int] = set()
        self._path: list[str] = []
        self.lost: list[bytes] = []
        self.unread = False

    def plain(self, value: Any, depth: int = 0) -> Any:
        """`value` as what JSON holds, with markers for the rest. Raises `TooLarge`, and nothing else."""
        kind = type(value)
        if value is None or kind is bool:
            return value
        try:
            convert = _EXACT.get(id(kind))
            if convert is not None:
                return convert(self, value, depth)
            bases = mro(kind)
            for base in bases:
                convert = _BASES.get(id(base))
                if convert is not None:
                    return convert(self, value, depth)
            return self._object(value, kind, bases, depth)
        except TooLarge:
            raise
        except Exception:
            self.unread = True
            return self._marked({"__error__": "unreadable"})

    def fields_of(self, value: Any) -> list[tuple[Any, Any]] | None:
        """The items of a mapping, or the stored fields of an object that declares them; else None."""
        bases = mro(type(value))
        if any(base is dict for base in bases):
            return list(dict.items(value))
        return stored_fields(value, bases) if declares_fields(bases) else None

    def count(self, value: Any) -> int:
        """The characters of a text, the items of a container; 0 for the rest."""
        for base in mro(type(value)):
            if id(base) in _SIZED:
                return _SIZED[id(base)](value)
        return 0

    def key(self, key: Any) -> str | None:
        """A key as JSON has it, or None where it can't."""
        kind = type(key)
        if key is None or kind is bool:
            return "null" if key is None else "true" if key else "false"
        if kind is not str:
            unread, plain = self.unread, self.plain(key, MAX_DEPTH)  # no container is a key
            self.unread = unread
            if type(plain) in (int, float, Decimal):
                return encode(plain).decode()
            return plain if type(plain) is str else None
        text = self._text(key, 0)
        return text if type(text) is str else None

    def _charge(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise TooLarge

    def _marked(self, marker: dict[str, Any]) -> dict[str, Any]:
        self._charge(_MARKER_COST)
        return marker

    def _lose(self, content: bytes | bytearray) -> None:
        digest = hashlib.blake2b(encode(self._path) + b"\0", digest_size=32)
        digest.update(content)
        self.lost.append(digest.digest())

    def _text(self, value: str, _depth: int) -> Any:
        self._charge(str.__len__(value) + 2)
        if not str.isascii(value):
            try:
                str.encode(value)
            except UnicodeEncodeError:
                self._lose(str.encode(value, "utf-8", "surrogatepass"))
                return self._marked({"__surrogate__": True})
        return value if type(value) is str else str.__str__(value)

    def _int(self, value: int, _depth: int) -> Any:
        number = int.__add__(value, 0)
        if -MAX_INT < number < MAX_INT:
            return number
        size = number.bit_length() // 8 + 1
        self._charge(size)
        self._lose(number.to_bytes(size, "big", signed=True))
        return self._marked({"__nonfinite__": "integer of more than 14000 bits"})

    def _float(self, value: float, _depth: int) -> Any:
        number = float.__add__(value, 0.0) if type(value) is not float else value
        return number if math.isfinite(number) else self._marked({"__nonfinite__": repr(number)})

    def _decimal(self, value: Decimal, _depth: int) -> Any:
        number = value if type(value) is Decimal else Decimal(value)
        text = str(number)
        self._charge(len(text))
        if not number.is_finite():
            return self._marked({"__nonfinite__": text.lower().replace("infinity", "inf")})
        if number and not 0.0 < abs(float(number)) < math.inf:
            self._lose(text.encode())
            return self._marked({"__nonfinite__": "decimal outside the range of a double"})
        return number

    def _bytes(self, value: Any, _depth: int) -> Any:
        base = None if type(value) is memoryview else base_of(value, (bytes, bytearray))
        length = value.nbytes if base is None else base.__len__(value)
        if length > self._budget:
            self.unread = True
        else:
            self._charge(length)
            self._lose(value.tobytes() if base is None else base.__getitem__(value, _slice))
        return self._marked({"__bytes__": length})

    def _mapping(self, value: dict[Any, Any], depth: int) -> Any:
        return self._nested(value, dict.__len__(value), depth, lambda: self._fields(list(dict.items(value)), depth))

    def _fields(self, pairs: list[tuple[Any, Any]], depth: int) -> Any:
        result: dict[str, Any] = {}
        strays: list[Any] = []
        fault = ""
        for key, item in pairs:
            name = self.key(key)
            if name is None:
                fault = "JSON can't hold a key"
            elif name in result:
                fault = "two keys are one in JSON"
            elif name in MARKER_KEYS:
                fault = "a key is reserved"
            else:
                self._path.append(name)
                result[name] = self.plain(item, depth + 1)
                self._path.pop()
                continue
            strays.append([self.plain(key, depth + 1), self.plain(item, depth + 1)])
        if fault:
            self._lose(encode([result, sorted(strays, key=encode)]))
            return self._marked({"__key__": fault})
        return result

    def _list(self, value: Any, depth: int) -> Any:
        base = base_of(value, (list, tuple, deque))
        return self._nested(value, base.__len__(value), depth, lambda: self._items(base.__iter__(value), depth, True))

    def _set(self, value: Any, depth: int) -> Any:
        base = base_of(value, (set, frozenset))
        return self._nested(
            value,
            base.__len__(value),
            depth,
            lambda: sorted(self._items(base.__iter__(value), depth, False), key=encode),
        )

    def _items(self, values: Any, depth: int, ordered: bool) -> list[Any]:
        result = []
        for index, item in enumerate(values):
            self._path.append(str(index) if ordered else "*")
            result.append(self.plain(item, depth + 1))
            self._path.pop()
        return result

    def _nested(self, value: Any, length: int, depth: int, read: Any) -> Any:
        if depth >= MAX_DEPTH:
            self.unread = True
            return self._marked({"__depth__": MAX_DEPTH})
        if id(value) in self._open:
            return self._marked({"__cycle__": True})
        self._charge(2 * length + 2)
        self._open.add(id(value))
        try:
            return read()
        finally:
            self._open.discard(id(value))

    def _enum(self, value: Any, depth: int) -> Any:
        fields = instance_dict(value)
        if fields is None or "_value_" not in fields:
            return self._marked(named(type(value)))
        return self._nested(value, 1, depth, lambda: self.plain(fields["_value_"], depth + 1))

    def _moment(self, value: Any, _depth: int) -> Any:
        base: Any = base_of(value, (datetime, time))
        zone = base.tzinfo.__get__(value)
        if zone is not None and type(zone) is not timezone and module_of(type(zone)) not in _ZONE_MODULES:
            return self._marked(named(type(value)))
        return base.isoformat(value)

    def _unreadable(self, value: Unreadable, _depth: int) -> Any:
        if value.digest is None:
            self.unread = True
        else:
            self._lose(value.digest)
        return self._marked({"__error__": value.reason})

    def _object(self, value: Any, kind: type, bases: tuple[type, ...], depth: int) -> Any:
        known = model(value, kind, bases)
        if known is not None:
            return self._marked(known)
        if declares_fields(bases):
            pairs = stored_fields(value, bases)
            return self._nested(value, len(pairs), depth, lambda: self._fields(pairs, depth))
        if is_numpy_scalar(bases):
            scalar = value.item()
            if id(type(scalar)) in _EXACT:
                return self.plain(scalar, depth)
            if type(scalar) is bool:
                return scalar
        return self._marked(named(kind))


_BASES: dict[int, Any] = {
    id(kind): convert
    for kinds, convert in (
        ((str,), Walk._text),
        ((int,), Walk._int),
        ((float,), Walk._float),
        ((Decimal,), Walk._decimal),
        ((dict,), Walk._mapping),
        ((list, tuple, deque), Walk._list),
        ((set, frozenset), Walk._set),
        ((bytes, bytearray, memoryview), Walk._bytes),
        ((datetime, time), Walk._moment),
        ((date,), lambda walk, value, _: date.isoformat(value)),
        ((timedelta,), lambda walk, value, _: timedelta.total_seconds(value)),
        ((UUID,), lambda walk, value, _: str(UUID(int=UUID.__dict__["int"].__get__(value)))),
        ((Enum,), Walk._enum),
    )
    for kind in kinds
}
"""How instances of a type and of its subclasses are read, by the type's id: no metaclass is asked for a hash."""
_SIZED: dict[int, Callable[[Any], int]] = {
    id(kind): kind.__len__ for kind in (str, dict, list, tuple, deque, set, frozenset, bytes, bytearray)
}
_EXACT: dict[int, Any] = {
    **_BASES,
    **{
        id(kind): lambda walk, value, depth: walk._text(os.fspath(value), depth)
        for kind in (PurePosixPath, PureWindowsPath, PosixPath, WindowsPath)
    },
    id(Unreadable): Walk._unreadable,
}
