"""Requests at random: mostly ordinary ones, with something odd about them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from tests.integrations.contract import Case

_METHODS = ["POST"] * 8 + ["GET", "HEAD", "DELETE", "PUT", "PATCH", "OPTIONS", "post", "delete", "TRACE", "X"]
_PLACES = ["/refunds/o-7", "/refunds/frozen", "/refunds/", "/reports/sales", "/notes", "/exports", "/transfers",
           "/items/9", "/items/10", "/free", "/unknown", "/slashed/", "/slashed", "/nope"]  # fmt: skip
_ODD = ["/", "//", "%2F", "%0A", "%00", "%20", ";v=2", ".", "/..", "%2e%2e/", "%", "%FF", "%C3%A9", "\\", "+", "%D9%A1"]
_TYPES = ["application/json"] * 5 + [
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-16",
    "multipart/form-data; boundary=b", "multipart/form-data", "text/plain", "", "application/vnd.api+json",
    "application/json; charset=ibm037", "application/octet-stream", "multipart/form-data; boundary=b; boundary=c",
]  # fmt: skip
_HEADERS = [
    ("supervisor-approval", "x"), ("supervisor-approval", "a" * 32), ("supervisor-approval", ",".join("ab" * 5)),
    ("supervisor-approval", ""), ("supervisor-mode", "shadow"), ("supervisor-guards", "off"),
    ("x-supervisor-internal", "1"), ("x-middleware-subrequest", "middleware"), ("x-http-method-override", "DELETE"),
    ("x-original-url", "/free"), ("x-rewrite-url", "/free"), ("x-forwarded-prefix", "/free"), ("x-isr", "1"),
    ("content-encoding", "gzip"), ("content-encoding", "identity"), ("x-user", "ada"), ("x-user", "?"),
    ("accept", "text/html,*/*;q=0.1"), ("host", "evil/..%2f"), ("cookie", "supervisor=off"), ("expect", "100-continue"),
    ("x-forwarded-host", "a b"), ("user-agent", "supervisor-guards"), ("transfer-encoding", "chunked"),
    ("content-length", "0"), ("idempotency-key", "1"), ("x-request-id", "r-1"),
]  # fmt: skip
_NAMES = st.sampled_from(["amount", "text", "page", "all", "x", "Amount", "amount[]", "é", ""])
_TEXTS = st.text("7h0é+-_ .%&=;\n\x00\u0661", max_size=5)
_NUMBERS = st.integers(-10, 20) | st.floats(allow_nan=False, allow_infinity=False, width=16) | st.just(10**30)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=5,
)
_AMOUNTS = st.fixed_dictionaries({"amount": st.integers(0, 1_000)}, optional={"all": st.booleans(), "x": _JSON})
_FIELDS = st.lists(st.tuples(_NAMES, _TEXTS | st.integers(0, 20).map(str)), max_size=4)
_NOTES = st.lists(st.tuples(_NAMES, _TEXTS), max_size=2).map(lambda more: [("text", "hello"), ("amount", "7"), *more])


def _urlencoded(fields: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{quote(name)}={quote(value)}" for name, value in fields).encode()


def _multipart(fields: list[tuple[str, str]]) -> bytes:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    return ("".join(parts) + "--b--\r\n").encode()


_BODIES = st.one_of(
    _AMOUNTS.map(lambda value: json.dumps(value).encode()),
    _JSON.map(lambda value: json.dumps(value, ensure_ascii=False).encode()),
    (_FIELDS | _NOTES).map(_urlencoded),
    (_FIELDS | _NOTES).map(_multipart),
    st.binary(max_size=40),
    st.sampled_from([b"", b"{}", b'{"amount": 1, "amount": 5000}', b'{"amount": NaN}', b"x" * 5_000]),
)
_ORDINARY = st.one_of(
    st.tuples(st.sampled_from(["/refunds/o-7", "/exports", "/transfers"]), st.just("POST"),
              st.just("application/json"), _AMOUNTS.map(lambda value: json.dumps(value).encode())),
    st.tuples(st.just("/notes"), st.just("POST"), st.just("application/x-www-form-urlencoded"),
              _NOTES.map(_urlencoded)),
    st.tuples(st.just("/notes"), st.just("POST"), st.just("multipart/form-data; boundary=b"), _NOTES.map(_multipart)),
    st.tuples(st.sampled_from(["/reports/sales", "/items/9"]), st.sampled_from(["GET", "DELETE", "HEAD"]), st.just(""),
              st.just(b"")),
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> Case:
    """One request. Two of three begin as ordinary ones; then up to two things are changed."""
    path, method, kind, body = draw(_ORDINARY | _ORDINARY | st.tuples(
        st.sampled_from(_PLACES), st.sampled_from(_METHODS), st.sampled_from(_TYPES), _BODIES))  # fmt: skip
    changes = draw(st.sets(st.sampled_from(["path", "method", "type", "body"]), max_size=2))
    if "path" in changes:
        at = draw(st.integers(0, len(path)))
        path = "/" + (path[:at] + draw(st.sampled_from(_ODD)) + path[at:]).removeprefix("/")
    method = draw(st.sampled_from(_METHODS)) if "method" in changes else method
    kind = draw(st.sampled_from(_TYPES)) if "type" in changes else kind
    body = draw(_BODIES) if "body" in changes else body
    query = draw(st.just([("page", "7")]) | _FIELDS)
    headers = draw(st.lists(st.sampled_from(_HEADERS), max_size=3, unique_by=lambda header: header[0]))
    target = path + ("?" + _urlencoded(query).decode() if query else "")
    return Case("at random", method, target, body, (("content-type", kind), *headers) if kind else tuple(headers))
