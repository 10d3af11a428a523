"""Request bodies: bounded while they are read, and JSON that means one thing only."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from supervisor_guards.service.problems import Problem

T = TypeVar("T")
MAX_DEPTH = 200
# The last quote is optional: a text that never ends is then one match, not a search to the end from each quote in it.
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_STEP = {0x5B: 1, 0x7B: 1, 0x5D: -1, 0x7D: -1}
_NO_BRACKETS = bytes(set(range(256)) - _STEP.keys())
_DUPLICATE = "the name {!r} stands twice in one object: write it once"


async def read(request: Request, limit: int, *, most: int | None = None) -> bytes:
    """The request's body. Raises `Problem` 413 as soon as it is larger than `limit` bytes, or `most` of them."""
    declared = request.headers.get("content-length", "")
    most = most or limit
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > most):
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise too_large(limit)
            parts.append(part)
    except ClientDisconnect:
        raise Problem(400, "the request ended before its body did") from None
    return b"".join(parts)


def decode(raw: bytes, kind: type[T]) -> T:
    """`raw`, JSON (RFC 8259) in UTF-8, as a `kind`.

    Raises `Problem`: 400 for what is no JSON, nests more than 200 deep, or has a name twice in an object (readers
    differ in which one counts); 422 for another shape, which says where.
    """
    try:
        found = msgspec.json.decode(raw, type=kind)
        _check(raw)
    except msgspec.ValidationError as error:
        _check(raw)
        text, _, place = str(error).partition(" - at ")
        raise Problem(422, [{"loc": ["body", *_steps(place)], "msg": text, "type": "value_error"}]) from None
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, f"the body is no JSON: {error}") from None
    return found


def _check(raw: bytes) -> None:
    """Look at what msgspec doesn't tell: names that stand twice, and depth.

    Every name has a colon after it. Where there are no more colons than names that differ, none stands twice, and no
    slow parser needs to look; a text with a colon only makes it look.
    """
    try:
        if _depth(raw) <= MAX_DEPTH and raw.count(b":") == _names(msgspec.json.decode(raw)):
            return
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # it is told below, in words
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise Problem(400, f"the body is no JSON: {error}") from None
    if _depth(raw) > MAX_DEPTH:
        raise _too_deep()


def _names(value: Any) -> int:
    """How many names the objects in `value` have."""
    if isinstance(value, dict):
        return len(value) + sum([_names(one) for one in value.values() if isinstance(one, (dict, list))])
    if isinstance(value, list):
        return sum([_names(one) for one in value if isinstance(one, (dict, list))])
    return 0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Problem(400, _DUPLICATE.format(name[:80]))
        found[name] = value
    return found


def _depth(raw: bytes) -> int:
    """How deep the arrays and objects of `raw` nest at most, where it is JSON; in time in proportion to its length."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return 0
    brackets = _TEXT.sub(b"", raw).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def _steps(place: str) -> list[str]:
    """`$.items[0].payload` of a message as its parts."""
    text = place.strip("`").removeprefix("$").replace("[", ".").replace("]", "")
    return [step for step in text.split(".") if step]


def _too_deep() -> Problem:
    return Problem(400, f"the body nests too deep: at most {MAX_DEPTH} levels are read")


def too_large(limit: int) -> Problem:
    """What refuses a body above `limit` bytes."""
    return Problem(413, f"the body is larger than {limit} bytes, the limit of this service (SUPERVISOR_MAX_BODY_BYTES)")
