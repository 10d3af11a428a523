"""JSON as clients and attackers write it: an amount that can't be read is never allowed because it is missing."""

from __future__ import annotations

import gzip
import json

from tests.integrations.contract.basics import CAPPED, UNREADABLE
from tests.integrations.contract.cases import JSON, Case, allowed, amount, export, refused
from tests.integrations.contract.routes import CAP

_TYPES = {
    "a type in capitals": "APPLICATION/JSON",
    "a type with a charset": "application/json; charset=utf-8",
    "a type with a wrong charset": "application/json; charset=ibm037",
    "a type of nonsense": "x",
    "a type of two": "application/json, text/plain",
    "a problem's type": "application/problem+json",
}
_NUMBERS = {
    "infinite": b'{"amount": Infinity}',
    "infinite by its exponent": b'{"amount": 1e999}',
    "minus infinity": b'{"amount": -Infinity}',
}
_OTHER = {
    "an amount of null": b'{"amount": null}',
    "an amount in a list": b'{"amount": [50000]}',
    "an amount in an object": b'{"amount": {"amount": 1}}',
    "another name in capitals": b'{"Amount": 1}',
    "another name with a space": b'{"amount ": 1}',
}
_UNPARSED = {
    "garbage after it": b'{"amount": 1} x',
    "two documents": b'{"amount": 1}{"amount": 50000}',
    "a comment": b'{"amount": 1 /* 50000 */}',
    "single quotes": b"{'amount': 1}",
    "a comma at the end": b'{"amount": 1,}',
    "bytes that are no UTF-8": b'{"amount": 1, "x": "\xff"}',
    "white space alone": b"  \r\n ",
    "a number with a leading zero": b'{"amount": 01}',
}
_SHAPES = {"a list": b"[1]", "a number": b"1", "a text": b'"amount"', "null": b"null", "true": b"true"}


def _typed(kind: str) -> tuple[tuple[str, str], ...]:
    return (("content-type", kind),)


CASES: tuple[Case, ...] = (
    *(refused(f"JSON under {name}", amount(50_000), "denied", CAPPED, headers=_typed(kind))
      for name, kind in _TYPES.items()),
    *(refused(f"an amount {name}", body, "payload-unusable", *UNREADABLE, status=400)
      for name, body in _NUMBERS.items()),
    *(refused(name, body, "denied", "rule-error:hard-cap") for name, body in _OTHER.items()),
    *(refused(f"JSON with {name}", body, "payload-unusable", "body-invalid", status=400)
      for name, body in _UNPARSED.items()),
    *(refused(f"JSON that is {name}", body, "payload-unusable", *UNREADABLE, status=400)
      for name, body in _SHAPES.items()),
    refused("JSON in UTF-32", amount(50_000).decode().encode("utf-32"), "denied", CAPPED),
    refused("JSON in UTF-16 without a mark", amount(50_000).decode().encode("utf-16-le"), "denied", CAPPED),
    refused("an escaped name", b'{"am\\u006funt": 50000}', "denied", CAPPED),
    refused("an escaped name twice", b'{"amount": 50000, "am\\u006funt": 1}', "ambiguous-payload",
            "ambiguous-payload", status=400),
    refused("a name twice further in", b'{"amount": 1, "more": {"a": 1, "a": 2}}', "ambiguous-payload",
            "ambiguous-payload", status=400),
    refused("an amount of many digits", b'{"amount": ' + b"9" * 300 + b"}", "denied", CAPPED),
    refused("a lone surrogate", b'{"amount": "\\ud800"}', "payload-unusable", *UNREADABLE, status=400),
    refused("an object that poses as a marker", b'{"amount": {"__redacted__": 1}}', "payload-unusable",
            *UNREADABLE, status=400),
    refused("a form where JSON is asked for", b"amount=1", "denied", "rule-error:hard-cap",
            headers=_typed("application/x-www-form-urlencoded")),
    refused("JSON that says it is a form", amount(10), "ambiguous-payload", "ambiguous-payload", status=400,
            headers=_typed("application/x-www-form-urlencoded")),
    refused("JSON with a form inside", b'{"amount":10,"x":"&amount=50000&"}', "ambiguous-payload",
            "ambiguous-payload", status=400, headers=_typed("application/x-www-form-urlencoded")),
    allowed("JSON that says it is a form in UTF-16", amount(10), own="some frameworks refuse such a form themselves",
            headers=_typed("application/x-www-form-urlencoded; charset=utf-16")),
    refused("deflated", amount(1), "unsupported-type", "body-encoded", status=415,
            headers=(*JSON, ("content-encoding", "deflate"))),
    refused("compressed twice", gzip.compress(gzip.compress(amount(1), mtime=0), mtime=0), "unsupported-type",
            "body-encoded", status=415, headers=(*JSON, ("content-encoding", "gzip, gzip"))),
    allowed("identity encoding", amount(10), headers=(*JSON, ("content-encoding", "identity"))),
    allowed("a fraction", b'{"amount": 10.5}'),
    allowed("an exponent", b'{"amount": 1e2}'),
    allowed("minus zero", b'{"amount": -0.0}'),
    allowed("more fields than are asked for", b'{"amount": 10, "note": "x", "list": [1, {"a": null}]}'),
    allowed("as large as may be", _padded := json.dumps({"amount": 1, "x": "y" * (CAP - 22)}).encode()),
    refused("one byte too large", _padded + b" ", "payload-too-large", "body-too-large", status=413),
    refused("too large and compressed", b"\x1f\x8b" * CAP, "payload-too-large", "body-too-large", status=413,
            headers=(*JSON, ("content-encoding", "gzip"))),
    export("a whole list", b'[{"all": true}]', "deny", "rule-error:whole-body", status=403, problem="denied"),
    export("a whole body without the field", b"{}", "deny", "rule-error:whole-body", status=403, problem="denied"),
    export("a whole body of false", b'{"all": false, "x": [1, 2.5, "\xc3\xa9", null]}', "allow"),
    export("a whole form", b"all=true", "deny", "exports-everything", own="a form's fields are texts",
           headers=_typed("application/x-www-form-urlencoded")),
    export("a whole body of another kind", b"<all/>", "deny", "rule-error:whole-body", status=415,
           problem="unsupported-type", headers=_typed("application/xml")),
)  # fmt: skip
assert len(_padded) == CAP
