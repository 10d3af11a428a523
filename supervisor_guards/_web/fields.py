"""Field references: `body.amount:number`, `id=path.order_id`. How they are written, and how one is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from supervisor_guards._markers import Unreadable
from supervisor_guards._settings import suggestion
from supervisor_guards._web.bodies import picked, unparsed_reason
from supervisor_guards._web.facts import SECRET_HEADERS, RequestFacts

SOURCES = ("path", "query", "body", "form", "header", "user")
USER_FIELDS = ("id", "type", "groups", "scopes", "tenant", "state")
_NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,300}", re.ASCII)
_TRUE = frozenset({"1", "true", "t", "on", "yes", "y"})
_FALSE = frozenset({"0", "false", "f", "off", "no", "n"})
_ABSENT: Any = object()


class Fault(Exception):
    """What is asked for can't be told; the argument is the reason in one word."""


class Reference(msgspec.Struct, frozen=True):
    """A parsed field reference: where to look, under which name it lands, as which type."""

    text: str
    source: str
    path: tuple[str, ...]
    name: str
    kind: str | None = None


def parse_reference(text: Any) -> Reference:
    """`text` as a reference. Raises `ValueError` that says what is wrong with it and what would be right."""
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a field reference: write text such as 'body.amount'")
    name, equals, rest = text.rpartition("=")
    target, colon, kind = rest.partition(":")
    source, *path = target.split(".")
    if source not in SOURCES:
        near = suggestion(source, SOURCES)
        raise ValueError(f"{text!r} reads from {source!r}{near}; choose one of {', '.join(SOURCES)}")
    if (equals and not name) or (colon and kind not in CASTS) or any(part != part.strip() for part in (name, *path)):
        types = ", ".join(CASTS)
        raise ValueError(f"{text!r} is not written name=source.field:type; the types are {types}")
    if not all(path) or (not path and source != "body"):
        raise ValueError(f"{text!r} names no field: write for example '{source}.{_EXAMPLES[source]}'")
    if source == "user" and (len(path) > 1 or path[0] not in USER_FIELDS):
        raise ValueError(f"{text!r}: a user has {', '.join(USER_FIELDS)}{suggestion(path[0], USER_FIELDS)}")
    if source == "header":
        path = [".".join(path).lower()]
        if path[0] in SECRET_HEADERS:
            raise ValueError(f"{text!r}: the header {path[0]!r} is a secret and never leaves the process")
    elif source in ("query", "form"):
        path = [".".join(path)]  # their names are flat, and may hold dots
    return Reference(text, source, tuple(path), name or (path[-1] if path else source), kind or None)


def read(reference: Reference, facts: RequestFacts) -> Any:
    """What `reference` finds, or `MISSING`.

    Raises `Fault` where the request can't tell: a body that isn't parsed, a header sent twice, a failed cast.
    """
    value = _READERS[reference.source](reference.path, facts)
    if value is MISSING or isinstance(value, Unreadable) or reference.kind is None:
        return value
    cast = CASTS[reference.kind](value)
    if cast is MISSING:
        raise Fault(f"cast-failed:{reference.text}")
    return cast


MISSING = _ABSENT
"""What `read` answers where the request has no such field."""


def _path(path: tuple[str, ...], facts: RequestFacts) -> Any:
    return _walk(facts.path, path)


def _query(path: tuple[str, ...], facts: RequestFacts) -> Any:
    return picked(facts.query, facts.pick).get(path[0], MISSING)


def _body(path: tuple[str, ...], facts: RequestFacts) -> Any:
    body = facts.body
    reason = unparsed_reason(body)
    if reason is not None:
        raise Fault(reason)
    if body.status == "absent":
        return Unreadable("body-absent", b"")
    data = picked(body.form, facts.pick) if body.data is None and body.form is not None else body.data
    return _walk(data, path)


def _form(path: tuple[str, ...], facts: RequestFacts) -> Any:
    body = facts.body
    if body.status == "absent":
        return Unreadable("body-absent", b"")
    if body.form is None or body.status != "parsed":
        raise Fault(unparsed_reason(body) or "unsupported-type")
    if body.ambiguous:
        raise Fault("ambiguous-payload")
    fields = picked(body.form, facts.pick)
    if path[0] in {file.field for file in body.files}:
        # A file and a field of one name: which of them the application takes depends on how it asks.
        raise Fault("ambiguous-payload")
    return fields.get(path[0], MISSING)


def _header(path: tuple[str, ...], facts: RequestFacts) -> Any:
    values = facts.header(path[0])
    if len(values) > 1:
        raise Fault("ambiguous-payload")
    return values[0] if values else MISSING


def _user(path: tuple[str, ...], facts: RequestFacts) -> Any:
    user = facts.user
    if path[0] == "id":
        return facts.subject
    return {
        "type": user.kind,
        "groups": list(user.groups),
        "scopes": list(user.scopes),
        "tenant": user.tenant,
        "state": user.state,
    }[path[0]]


def _walk(value: Any, path: tuple[str, ...]) -> Any:
    """Down `path` by keys and list positions. Where the shape is another, nothing can be said of the field."""
    for part in path:
        if isinstance(value, Mapping):
            if part not in value:
                return MISSING
            value = value[part]
        elif isinstance(value, list) and _INTEGER.fullmatch(part) and not part.startswith(("+", "-")):
            if int(part) >= len(value):
                return MISSING
            value = value[int(part)]
        else:
            return Unreadable("other-shape")
    return value


_READERS: Mapping[str, Callable[[tuple[str, ...], RequestFacts], Any]] = {
    "path": _path,
    "query": _query,
    "body": _body,
    "form": _form,
    "header": _header,
    "user": _user,
}
_EXAMPLES = {
    "path": "order_id", "query": "page", "form": "note", "header": "x-request-id", "user": "id", "body": "amount",
}  # fmt: skip


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return MISSING
    if isinstance(value, (int, Decimal)):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value) if _INTEGER.fullmatch(value) else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else MISSING
    return value if isinstance(value, int) else MISSING


def _integer(value: Any) -> Any:
    number = _number(value)
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return number if isinstance(number, int) else MISSING


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, (str, int)) else ""
    return True if word in _TRUE else False if word in _FALSE else MISSING


CASTS: Mapping[str, Callable[[Any], Any]] = {"number": _number, "integer": _integer, "boolean": _boolean}
