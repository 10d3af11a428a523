"""Methods and ways to write a path: none of them gets past the guard."""

from __future__ import annotations

from typing import Any

from tests.integrations.contract.basics import CAPPED
from tests.integrations.contract.cases import FORM, JSON, REFUND, Case, amount, refused, report

_METHODS = ("post", "Post", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "GET", "TRACE", "FOO", "PROPFIND")
_SUFFIXES = {
    "a line feed": "%0A", "a carriage return": "%0D", "a null byte": "%00", "a slash": "/", "an escaped slash": "%2F",
    "an escaped question mark": "%3F", "an escaped number sign": "%23", "a parameter": ";v=2", "a space": "%20",
    "a dot": ".", "a dot segment": "/.", "two dots": "/x/..", "a line separator": "%E2%80%A8", "no UTF-8": "%FF",
    "half an escape": "%", "a tab": "%09",
}  # fmt: skip
_FIXED = {
    "two slashes": "//notes", "a dot segment before": "/./notes", "two dots before": "/x/../notes",
    "capitals": "/NOTES", "an escaped letter": "/n%6Ftes", "an escaped slash before": "/%2Fnotes",
    "escaped dots before": "/%2e%2e/notes", "a letter escaped twice": "/n%256Ftes", "an empty segment": "/notes//",
    "a backslash": "/%5Cnotes", "a wide letter": "/%EF%BD%8Eotes",
}  # fmt: skip
_PARAMETERS = {
    "an escaped letter": "/refunds/%66rozen", "two slashes": "/refunds//frozen", "an escaped slash": "/refunds/x%2Fy",
    "capitals": "/refunds/FROZEN", "two dots, escaped": "/refunds/..%2Ffrozen", "nothing": "/refunds/",
    "another script": "/refunds/%D9%A1", "a soft hyphen": "/refunds/fro%C2%ADzen",
}  # fmt: skip
_NUMBERS = ("10", "0010", "1_0", "+10", "%2B10", "%31%30", "%D9%A1%D9%A0", "%EF%BC%91%EF%BC%90", "10%0A", "-10", "10.0",
            "1e1", "0xa", "%2010", "10%20", "9", "99999999999999999999999", "")  # fmt: skip
_ELSEWHERE = {
    "X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/free", "X-Rewrite-URL": "/free",
    "X-Forwarded-Prefix": "/free", "X-Middleware-Subrequest": "middleware", "X-Supervisor-Mode": "shadow",
    "Supervisor-Mode": "shadow", "Supervisor-Guards": "off", "X-Internal": "1", "Forwarded": "host=x;proto=https",
}  # fmt: skip
_WHY = "routers match a path in ways of their own"
_WHY_METHOD = "frameworks answer methods without a handler in ways of their own"


def _note(name: str, path: str, method: str = "POST", why: str = _WHY) -> Case:
    return Case(name, method, path, b"text=hello&amount=7", FORM, action="note", route="POST /notes", ran="note",
                own=why)  # fmt: skip


def _refund(name: str, path: str, method: str = "POST", why: str = _WHY) -> Case:
    return Case(name, method, path, amount(7), JSON, own=why)


def _item(number: str) -> Case:
    fields: dict[str, Any] = {"action": "item.delete", "route": "DELETE /items/{number:int}", "ran": "item"}
    if number == "10":
        fields |= {"status": 403, "problem": "denied", "verdict": "deny", "reasons": ("tenth-item-stays",)}
    elif number != "9":
        fields["own"] = "converters of numbers differ"
    return Case(f"an item numbered {number or 'not at all'}", "DELETE", f"/items/{number}", **fields)


CASES: tuple[Case, ...] = (
    *(_note(f"a path and {name}", "/notes" + suffix) for name, suffix in _SUFFIXES.items()),
    *(_note(f"a path with {name}", path) for name, path in _FIXED.items()),
    *(_refund(f"a parameter and {name}", "/refunds/o-7" + suffix) for name, suffix in _SUFFIXES.items()),
    *(_refund(f"a parameter with {name}", path) for name, path in _PARAMETERS.items()),
    *(_item(number) for number in _NUMBERS),
    *(_note(f"a form by {method}", "/notes", method, _WHY_METHOD) for method in _METHODS),
    *(_refund(f"a refund by {method}", REFUND, method, _WHY_METHOD) for method in _METHODS if method != "DELETE"),
    report("HEAD that is allowed", "?page=7", method="HEAD", route="HEAD /reports/{name}"),
    report("a head in lower case", "?page=700", method="head", own=_WHY_METHOD),
    *(refused(f"denied, with {name}", amount(50_000), "denied", CAPPED, headers=(*JSON, (name.lower(), value)))
      for name, value in _ELSEWHERE.items()),
    refused("denied, whatever its query says", amount(50_000), "denied", CAPPED,
            path=REFUND + "?_method=GET&supervisor=off&mode=shadow&supervisor-approval=approved-1"),
    refused("denied, whatever its cookies say", amount(50_000), "denied", CAPPED,
            headers=(*JSON, ("cookie", "supervisor=off; supervisor-approval=approved-1"))),
    refused("denied to a browser", amount(50_000), "denied", CAPPED,
            headers=(*JSON, ("accept", "text/html,*/*;q=0.8"))),
)  # fmt: skip
