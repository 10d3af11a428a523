"""For receivers of the service's webhooks: whether a request really comes from it, and is new.

`verify` needs the subscription's secret, the headers and the raw body, and no service, framework or network::

    delivery = verify(secret, request.headers, request.body)
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supervisor_guards.errors import GuardError

__all__ = ["Delivery", "WebhookInvalid", "signed_headers", "verify"]

EVENT = "x-supervisor-event"
SIGNATURE = "x-supervisor-signature"
SIGNATURE_V2 = "x-supervisor-signature-v2"
DELIVERY = "x-supervisor-delivery"
TIMESTAMP = "x-supervisor-timestamp"
_SCHEME = "sha256="


class WebhookInvalid(GuardError):
    """The request isn't the service's, or not as it was sent: answer 401 and ignore what it says."""

    status_hint = 401


@dataclass(frozen=True)
class Delivery:
    """What a verified webhook says."""

    id: str
    """The same each time one event is sent to one subscription: keep it for as long as `tolerance_seconds`, at
    least, and ignore what comes twice."""
    event: str
    timestamp: int
    """When this try was sent, in seconds since the epoch."""
    data: Mapping[str, Any]


def verify(
    secret: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance_seconds: float = 300,
    now: float | None = None,
) -> Delivery:
    """What the webhook says, if it was signed with `secret` and sent within `tolerance_seconds` of `now`.

    `secret` is the subscription's; a sequence accepts each of them, as while one is replaced. `headers` may be any
    mapping, whatever the case of its names. `body` is the raw body, as it came. `now` is the time in seconds since
    the epoch, the clock's where it is None. Signatures are compared in constant time.

    Raises `WebhookInvalid` for a missing or malformed header, another secret, a changed body or header, a timestamp
    too far from `now`, and `TypeError` for a body that isn't bytes.
    """
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"body is {type(body).__name__}: give the raw bytes of the request, before parsing")
    raw = bytes(body)
    sent = {name.lower(): value for name, value in headers.items()}
    secrets = (secret,) if isinstance(secret, str) else tuple(secret)
    if not secrets or not all(secrets):
        raise WebhookInvalid("the secret is empty: give the one that was shown when the subscription was made")
    timestamp = _header(sent, TIMESTAMP)
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise WebhookInvalid(f"{TIMESTAMP} is no time in whole seconds")
    delivery_id = _header(sent, DELIVERY)
    given = [one.strip() for one in _header(sent, SIGNATURE_V2).split(",")][:4]
    expected = [_signature(one, _material(timestamp, delivery_id, raw)) for one in secrets]
    # All pairs are compared, so that the time tells nothing about which one fits.
    matches = [hmac.compare_digest(one.encode("utf-8", "replace"), own.encode()) for one in given for own in expected]
    if not any(matches):
        raise WebhookInvalid(
            f"{SIGNATURE_V2} doesn't fit: another secret, or the body or a header was changed on the way "
            "(verify the raw body, before anything parses it)"
        )
    age = (time.time() if now is None else now) - int(timestamp)
    if abs(age) > tolerance_seconds:
        raise WebhookInvalid(
            f"{TIMESTAMP} is {abs(age):.0f} s {'ago' if age > 0 else 'ahead'}, more than {tolerance_seconds:g} s: a "
            "replay, or the clocks differ"
        )
    return _read(raw, sent, delivery_id, int(timestamp))


def signed_headers(secrets: Sequence[str], event: str, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that the service sends with `body`. The first of `secrets` is the current one.

    Version 1's signature is over the body alone, with the current secret. Ours is over
    ``<timestamp>.<delivery_id>.<body>``; while a secret is replaced there is one for each, with commas between.
    """
    material = _material(str(timestamp), delivery_id, body)
    return {
        EVENT: event,
        SIGNATURE: _signature(secrets[0], body),
        SIGNATURE_V2: ",".join(_signature(secret, material) for secret in secrets),
        DELIVERY: delivery_id,
        TIMESTAMP: str(timestamp),
    }


def _read(raw: bytes, sent: Mapping[str, str], delivery_id: str, timestamp: int) -> Delivery:
    """The signed body. The header that names the event isn't signed by itself: both must say the same."""
    try:
        said = json.loads(raw)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("data"), dict) or said.get("event") != sent.get(EVENT):
        raise WebhookInvalid(f"the body isn't that of a webhook, or {EVENT} names another event than it does")
    return Delivery(delivery_id, said["event"], timestamp, said["data"])


def _header(sent: Mapping[str, str], name: str) -> str:
    value = sent.get(name)
    if not value:
        raise WebhookInvalid(f"the header {name} is missing")
    return value


def _material(timestamp: str, delivery_id: str, body: bytes) -> bytes:
    return f"{timestamp}.{delivery_id}.".encode("utf-8", "replace") + body


def _signature(secret: str, material: bytes) -> str:
    return _SCHEME + hmac.new(secret.encode(), material, hashlib.sha256).hexdigest()
