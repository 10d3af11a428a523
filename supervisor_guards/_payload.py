"""From whatever a call was given to JSON bytes, on the caller's thread, before the call can change it.

Plain data takes the fast path (a type check, then msgspec). Everything else goes through `_plain.Walk`, which
asks no user object anything: what JSON can't hold becomes a marker, and a policy rule that reads one fails.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from supervisor_guards._markers import Unusable, is_marker
from supervisor_guards._model import Snapshot
from supervisor_guards._plain import MAX_DEPTH, TooLarge, Walk, encode

DEFAULT_LIMIT = 65_536
HARD_FACTOR = 16
"""A payload of more than this many times the limit isn't read to its end, and has no digest."""

_SMALL = 64
"""Bytes below which nothing is cut out of a payload that is too large: its marker would take as much."""

_decode = msgspec.json.Decoder().decode


def snapshot(value: Any, limit: int = DEFAULT_LIMIT) -> Snapshot:
    """`value` as a JSON object of at most `limit` bytes, keys sorted. Never raises an `Exception`.

    What isn't a mapping stands under `value`; `Unusable` becomes the fault it names. Over the limit, the largest
    texts, lists and mappings become `{"__truncated__": true, "length": n}`, `n` in characters or items, until the
    rest fits. `fault` is set where nothing of the payload can be read by name: `too-large`, `payload-unusable`.
    """
    try:
        if type(value) is dict and _weight(value, limit, 0) >= 0:
            body = encode(value)
            if len(body) <= limit and b'"__' not in body:
                return Snapshot(body)
    except Exception:  # noqa: S110 - lone surrogates, huge integers: the walk finds out where
        pass
    try:
        if type(value) is Unusable:
            return msgspec.structs.replace(_walked(value.payload or {}, limit), fault=value.reason)
        return _walked(value, limit)
    except Exception:
        return Snapshot(b"{}", fault="payload-unusable")


def decode(taken: Snapshot) -> dict[str, Any]:
    """The payload as plain data."""
    result: dict[str, Any] = _decode(taken.body)
    return result


def _weight(value: Any, left: int, depth: int) -> int:
    """What is left of `left` bytes after the plain data in a dict or list; negative where it is something else.

    A lower bound of the encoded size, and negative too where that is over the limit: encoding 50 MB would cost
    the caller more than the walk does.
    """
    left -= 2 * len(value)
    if depth > MAX_DEPTH or left < 0:
        return -1
    if type(value) is dict:
        left -= len("".join(value))  # a key that is no text raises, and so goes the slow way
        value = value.values()
    for one in value:
        kind = type(one)
        if kind is str:
            left -= len(one)
        elif kind is int or kind is bool or one is None:
            pass
        elif kind is float:
            if one - one != 0.0:  # infinite, or not a number
                return -1
        elif kind is dict or kind is list:
            left = _weight(one, left, depth + 1)
            if left < 0:
                return -1
        else:
            return -1
    return left


def _walked(value: Any, limit: int) -> Snapshot:
    walk = Walk(limit * HARD_FACTOR)
    try:
        plain = walk.plain(value)
    except TooLarge:
        return _taken(_outline(value, limit), limit, None)
    if walk.unread:
        return _taken(plain, limit, None)
    body = encode(_object(plain))
    if not walk.lost:
        return _taken(plain, limit, hashlib.blake2b(body, digest_size=32).digest(), body)
    content = hashlib.blake2b(body, digest_size=32)
    for digest in sorted(walk.lost):
        content.update(digest)
    return _taken(plain, limit, content.digest(), body, lost=True)


def _taken(plain: Any, limit: int, full_hash: bytes | None, body: bytes = b"", lost: bool = False) -> Snapshot:
    """The snapshot of `plain`, cut where it is too large. Without `full_hash` it counts as truncated."""
    fault = None
    if is_marker(plain):
        fault = "too-large" if "__truncated__" in plain else "payload-unusable"
    plain = _object(plain)
    body = body or encode(plain)
    if len(body) <= limit:
        whole = full_hash is not None
        return Snapshot(body, not whole, full_hash if lost or not whole else None, fault)
    cut = _cut(plain, body, limit)
    if cut is None:
        return Snapshot(encode(_marker(len(plain))), True, full_hash, "too-large")
    return Snapshot(cut, True, full_hash, fault)


def _object(plain: Any) -> dict[str, Any]:
    return plain if type(plain) is dict and not is_marker(plain) else {"value": plain}


def _marker(length: int) -> dict[str, Any]:
    return {"__truncated__": True, "length": length}


def _outline(value: Any, limit: int) -> Any:
    """What can be had of a payload that is too large to be read: each field that is small enough by itself."""
    walk = Walk(limit)
    pairs = walk.fields_of(value) if walk.count(value) * _SMALL // 8 <= limit * HARD_FACTOR else None
    if pairs is None:
        return _marker(walk.count(value))
    result: dict[str, Any] = {}
    share, left = limit // 4, limit * HARD_FACTOR
    for key, item in pairs:
        name = walk.key(key)
        if name is None or name in result:
            return {"__key__": "JSON can't hold a key"}
        field = Walk(min(share, left))
        try:
            result[name] = field.plain(item, 1)
        except TooLarge:
            left -= share
            result[name] = _marker(walk.count(item))
    return {"__key__": "a key is reserved"} if is_marker(result) else result


def _cut(plain: dict[str, Any], body: bytes, limit: int) -> bytes | None:
    """`plain` in at most `limit` bytes, changed in place, the largest parts cut first; None where none is left."""
    while len(body) > limit:
        found: list[tuple[int, int, Any, Any]] = []
        _measure(plain, found)
        if not found:
            return None
        excess = len(body) - limit
        for _, whole, holder, key in sorted(found, key=lambda part: -part[0]):
            holder[key] = _marker(len(holder[key]))
            excess -= whole - _SMALL
            if excess <= 0:
                break
        body = encode(plain)
    return body


def _measure(value: Any, found: list[tuple[int, int, Any, Any]]) -> tuple[int, int]:
    """About how many bytes `value` takes: by itself, and with what could be cut out of it, which joins `found`."""
    if type(value) is str:
        size = len(value.encode()) + 2
        return size, size
    if type(value) is not dict and type(value) is not list:
        return 8, 8
    own = whole = 2
    for key, item in value.items() if type(value) is dict else enumerate(value):
        item_own, item_whole = _measure(item, found)
        name = len(key) + 4 if type(key) is str else 1
        whole += item_whole + name
        own += name
        if item_own > _SMALL and not is_marker(item):
            found.append((item_own, item_whole, value, key))
        else:
            own += item_own
    return own, whole
