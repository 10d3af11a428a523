"""Query parameters, repeated names, and who sent the request."""

from __future__ import annotations

from tests.integrations.contract.cases import Case, allowed, amount, refused, report, transfer

_CAST = "cast-failed:query.page:integer"
_FAILED = {
    "no value": "?page=", "a name alone": "?page", "a fraction": "?page=7.5", "a space": "?page=%207",
    "an underscore": "?page=1_0", "another script": "?page=%D9%A7", "a null byte": "?page=7%00",
    "a word": "?page=NaN", "hexadecimal": "?page=0x7", "a plus that is a space": "?page=+7",
}  # fmt: skip
_FINE = {
    "an escaped digit": "?page=%37", "an escaped name": "?p%61ge=7", "an escaped plus": "?page=%2B7",
    "leading zeros": "?page=007", "a negative number": "?page=-7", "an exponent": "?page=7e0",
    "other names": "?x=1&page=7&y",
    "capitals beside": "?PAGE=700&page=7", "empty pairs": "?&&page=7&",
}  # fmt: skip
_OWN = {
    "repeated, the last too deep": "?page=7&page=700", "repeated, the first too deep": "?page=700&page=7",
    "a semicolon": "?page=7;page=700", "brackets": "?page=7&page[]=700", "a broken escape": "?page=7%",
    "no UTF-8": "?page=7&x=%FF", "a second question mark": "?page=7?page=700", "a second plus": "?page=7&p%2561ge=700",
}  # fmt: skip

CASES: tuple[Case, ...] = (
    *(report(f"a query with {name}", query, _CAST, status=400, problem="payload-unusable")
      for name, query in _FAILED.items()),
    *(report(f"a query of {name}", query) for name, query in _FINE.items()),
    *(report(f"a query: {name}", query, own="frameworks pick one of several values, and split queries, differently")
      for name, query in _OWN.items()),
    report("a query too deep", "?page=101", "page-too-deep", status=403, problem="denied"),
    report("no query", "", "rule-error:deep-page", status=403, problem="denied"),
    transfer("a user who is signed in", 10, "ada", subject="ada"),
    transfer("a user whose transfer is held", 5_000, "ada", "large-transfer", verdict="review", status=403,
             problem="approval-required", subject="ada"),
    transfer("a user with an odd name", 10, "eve mallory;admin=1", subject="eve mallory;admin=1"),
    transfer("nobody", 10, None, "sender-is-not-known", status=403, problem="denied"),
    transfer("a sender not known yet", 10, "?", "sender-is-not-known", status=403, problem="denied"),
    transfer("an unknown sender of too much", 5_000, "?", "sender-is-not-known", status=403, problem="denied"),
    allowed("a user where nobody asks", amount(10), headers=(("content-type", "application/json"), ("x-user", "ada")),
            subject="ada"),
    refused("a user who is refused", amount(50_000), "denied", "amount-exceeds-hard-cap",
            headers=(("content-type", "application/json"), ("x-user", "ada")), subject="ada"),
)  # fmt: skip
