"""Forms: what frameworks read out of the same bytes."""

from __future__ import annotations

from tests.integrations.contract.cases import Case, note

MULTIPART = "multipart/form-data; boundary=b"
_END = "--b--\r\n"


def part(disposition: str, value: str, more: str = "") -> str:
    """One part of a multipart body."""
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n{value}\r\n"


_TEXT = part('name="text"', "hello")
_READINGS = {
    "a field twice": (MULTIPART, _TEXT + part('name="amount"', "7") + part('name="amount"', "1000") + _END),
    "a field and a file of one name": (
        MULTIPART,
        _TEXT + part('name="amount"', "7") + part('name="amount"; filename="f"', "1000") + _END,
    ),
    "two names in one part": (MULTIPART, _TEXT + part('name="x"; name="amount"', "1000") + _END),
    "two names, the first of them asked for": (MULTIPART, _TEXT + part('name="amount"; name="x"', "7") + _END),
    "an extended name": (MULTIPART, _TEXT + part("name=\"x\"; name*=utf-8''amount", "1000") + _END),
    "an extended name alone": (MULTIPART, _TEXT + part("name*=utf-8''amount", "1000") + _END),
    "two boundaries": (MULTIPART + "; boundary=c", _TEXT + part('name="amount"', "7") + part('name="x"', "8") + _END),
    "no boundary": ("multipart/form-data", _TEXT + part('name="amount"', "7") + _END),
    "another boundary": ("multipart/form-data; boundary=c", _TEXT + part('name="amount"', "7") + _END),
    "no end": (MULTIPART, _TEXT + part('name="amount"', "7").rstrip()),
    "more after the end": (MULTIPART, _TEXT + part('name="amount"', "7") + _END + part('name="amount"', "1000")),
    "something before the first part": (MULTIPART, "preamble\r\n" + _TEXT + part('name="amount"', "7") + _END),
    "bare line feeds": (MULTIPART, (_TEXT + part('name="amount"', "7") + _END).replace("\r\n", "\n")),
    "a part that is encoded": (
        MULTIPART,
        _TEXT + part('name="amount"', "Nw==", "Content-Transfer-Encoding: base64\r\n") + _END,
    ),
    "a part of another charset": (
        MULTIPART,
        _TEXT + part('name="amount"', "7", "Content-Type: text/plain; charset=utf-16\r\n") + _END,
    ),
    "a name without quotes": (MULTIPART, _TEXT + part("name=amount", "7") + _END),
    "a name in single quotes": (MULTIPART, _TEXT + part("name='amount'", "7") + _END),
    "a name of percents": (MULTIPART, _TEXT + part('name="am%6Funt"', "1000") + _END),
    "a charset field": (MULTIPART, part('name="_charset_"', "utf-16") + _TEXT + part('name="amount"', "7") + _END),
    "a type in capitals": (MULTIPART.replace("multipart", "MULTIPART"), _TEXT + part('name="amount"', "7") + _END),
    "mixed and no form": ("multipart/mixed; boundary=b", _TEXT + part('name="amount"', "7") + _END),
}
_URLENCODED = {
    "amount=7&amount=1000": "repeated, the last too much",
    "amount=1000&amount=7": "repeated, the first too much",
    "text=HELP&amount=7": "with a text twice",
    "amount=7;amount=1000": "with a semicolon",
    "amount=7&&x": "with empty pairs",
    "amount=7&amount": "with a name alone",
    "am%6Funt=7": "with an escaped name and little asked for",
    "amount=%37": "with an escaped value",
    "amount=+7": "with a plus",
    "amount=%2B7": "with an escaped plus",
    "amount=7%00": "with a null byte",
    "amount=%D9%A7": "with a digit of another script",
    "amount=1_0": "with an underscore",
    "amount=7%": "with a broken escape",
    "amount=7&x=%FF": "with an escape that is no UTF-8",
    "amount=7&x=\xff": "with a byte that is no UTF-8",
    "amount=7&amount[]=1000": "with brackets",
    "%00amount=7": "with a name after a null byte",
    " amount=7": "with a space before the name",
}
_WHY = "frameworks read different fields out of these bytes"


def _own(name: str, kind: str, body: bytes) -> Case:
    return note(name, body, "allow", headers=(("content-type", kind),), own=_WHY)


CASES: tuple[Case, ...] = (
    note("a multipart form", (_TEXT + part('name="amount"', "7") + _END).encode(), "allow",
         headers=(("content-type", MULTIPART),)),
    note("a multipart form denied", (_TEXT + part('name="amount"', "70") + _END).encode(), "deny", "too-much",
         status=403, problem="denied", headers=(("content-type", MULTIPART),)),
    note("a multipart form with a file", (_TEXT + part('name="amount"', "7")
         + part('name="receipt"; filename="r.txt"', "x", "Content-Type: text/plain\r\n") + _END).encode(), "allow",
         headers=(("content-type", MULTIPART),)),
    note("a form without a field", b"text=hello", "deny", "rule-error:too-much", status=403, problem="denied"),
    note("a form with a field that is no number", b"text=hello&amount=x", "deny",
         "cast-failed:form.amount:number", status=400, problem="payload-unusable"),
    note("a form with an empty field", b"text=hello&amount=", "deny", "cast-failed:form.amount:number", status=400,
         problem="payload-unusable"),
    note("a form with an escaped name", b"text=hello&am%6Funt=50", "deny", "too-much", status=403, problem="denied"),
    note("a form of a fraction", b"text=hello&amount=1.5", "allow"),
    note("a form and a query of one name", b"text=hello&amount=50", "deny", "too-much", status=403, problem="denied",
         path="/notes?amount=1"),
    note("no form", b"", "deny", "rule-error:shouting", "rule-error:too-much", status=400,
         problem="payload-unusable", headers=()),
    *(_own(f"multipart: {name}", kind, body.encode()) for name, (kind, body) in _READINGS.items()),
    *(_own(f"a form {name}", "application/x-www-form-urlencoded", b"text=hello&" + body.encode("latin-1"))
      for body, name in _URLENCODED.items()),
    _own("a form in EBCDIC", "application/x-www-form-urlencoded; charset=ibm037", b"text=hello&amount=7"),
    _own("a form in UTF-16", "application/x-www-form-urlencoded; charset=utf-16", b"text=hello&amount=7"),
    _own("a form that is JSON", "application/x-www-form-urlencoded", b'{"text": "hello", "amount": 7}'),
    _own("a form as text", "text/plain", b"text=hello&amount=7"),
    _own("a form without a type", "", b"text=hello&amount=7"),
    _own("JSON where a form is asked for", "application/json", b'{"text": "hello", "amount": 7}'),
)  # fmt: skip
