"""What every adapter has to get right: outcomes, bodies, methods, routes."""

from __future__ import annotations

import gzip

from tests.integrations.contract.cases import (
    JSON,
    REFUND,
    Case,
    allowed,
    amount,
    export,
    note,
    refused,
    report,
    unevaluated,
)
from tests.integrations.contract.routes import CAP

UNREADABLE = ("rule-error:hard-cap", "rule-error:second-look")
CAPPED = "amount-exceeds-hard-cap"
_CANCEL = {"action": "refund.cancel", "route": "DELETE /refunds/{order_id}", "ran": "cancel"}


def _typed(kind: str) -> tuple[tuple[str, str], ...]:
    return (("content-type", kind),)


CASES = (
    allowed("allowed", amount(10)),
    refused("denied", amount(50_000), "denied", CAPPED),
    refused("held", amount(5_000), "approval-required", "amount-needs-a-look", verdict="review"),
    refused("a path parameter", amount(1), "denied", "order-is-frozen", path="/refunds/frozen"),
    refused("a missing field", b"{}", "denied", "rule-error:hard-cap"),
    refused("a field of another type", amount("5"), "denied", "rule-error:hard-cap"),
    refused("a query parameter is no body field", amount(50_000), "denied", CAPPED, path=REFUND + "?amount=1"),
    refused("JSON as text", amount(50_000), "denied", CAPPED, headers=_typed("text/plain")),
    refused("JSON without a type", amount(50_000), "denied", CAPPED, headers=()),
    refused("JSON of an API", amount(50_000), "denied", CAPPED, headers=_typed("application/vnd.api+json")),
    refused("JSON in UTF-16", amount(50_000).decode().encode("utf-16"), "denied", CAPPED),
    refused("JSON after a byte order mark", b"\xef\xbb\xbf" + amount(50_000), "denied", CAPPED),
    refused("broken JSON", b'{"amount": 1', "payload-unusable", "body-invalid", status=400),
    refused("a name twice", b'{"amount": 50000, "amount": 1}', "ambiguous-payload", "ambiguous-payload", status=400),
    refused(
        "compressed",
        gzip.compress(amount(1), mtime=0),
        "unsupported-type",
        "body-encoded",
        status=415,
        headers=(*JSON, ("content-encoding", "gzip")),
    ),
    refused("too large", amount("x" * CAP), "payload-too-large", "body-too-large", status=413),
    refused(
        "neither JSON nor a form",
        b"\x00\x01",
        "unsupported-type",
        "unsupported-type",
        status=415,
        headers=_typed("application/octet-stream"),
    ),
    refused("not a number", b'{"amount": NaN}', "payload-unusable", *UNREADABLE, status=400),
    refused("no body", b"", "payload-unusable", *UNREADABLE, status=400, headers=()),
    Case("a route without a body", "DELETE", "/refunds/o-2", **_CANCEL),
    Case(
        "denied by its path alone",
        "DELETE",
        "/refunds/o-1",
        status=403,
        problem="denied",
        verdict="deny",
        reasons=("first-order-stays",),
        **_CANCEL,
    ),
    report("a query parameter", "?page=7"),
    report(
        "HEAD runs what GET guards",
        "?page=700",
        "page-too-deep",
        method="HEAD",
        route="HEAD /reports/{name}",
        status=403,
        problem="denied",
    ),
    report("a failed cast", "?page=x", "cast-failed:query.page:integer", status=400, problem="payload-unusable"),
    note("a form", b"text=hello&amount=1", "allow"),
    note("a form held", b"text=HELP&amount=1", "review", "somebody-shouts", status=403, problem="approval-required"),
    note("a form denied", b"text=hello&amount=50", "deny", "too-much", status=403, problem="denied"),
    export("a whole body", b'{"all": true}', "deny", "exports-everything", status=403, problem="denied"),
    export(
        "a query apart from the body",
        b'{"all": false}',
        "review",
        "asks-by-query",
        status=403,
        problem="approval-required",
        path="/exports?all=yes",
    ),
    refused(
        "an action without a policy",
        b'{"x": 1}',
        "denied",
        "no-policy",
        path="/unknown",
        action="no.such.action",
        route="POST /unknown",
        ran="unknown",
    ),
    unevaluated("an unguarded route", "POST", "/free", 200, "free"),
    unevaluated("no route", "POST", "/nope", 404),
    unevaluated("another method", "PUT", REFUND, 405),
    unevaluated("a redirect", "POST", "/slashed", 307, own="a missing slash is answered with a redirect of one's own"),
)
