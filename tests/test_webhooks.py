"""What receivers verify webhooks with: it takes what was signed, once, as it was sent, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from supervisor_guards.errors import GuardError
from supervisor_guards.webhooks import WebhookInvalid, signed_headers, verify

SECRET = "sgw_of-the-subscription"
NOW = 1_800_000_000
BODY = json.dumps({"event": "decision.made", "data": {"action_id": "a-1", "note": "ü"}}).encode()


def headers(**changes: str | None) -> dict[str, str]:
    """The headers of `BODY`; `changes` replace those that end so, None leaves one out."""
    sent: dict[str, Any] = signed_headers([SECRET], "decision.made", "sub-1", NOW, BODY)
    for name, value in changes.items():
        sent["x-supervisor-" + name.replace("_", "-")] = value
    return {name: value for name, value in sent.items() if value is not None}


def test_what_was_signed_is_taken_whatever_the_case_of_the_headers() -> None:
    for sent in (headers(), {name.title(): value for name, value in headers().items()}):
        for body in (BODY, bytearray(BODY), memoryview(BODY)):
            found = verify(SECRET, sent, body, now=NOW + 10)
            assert (found.id, found.event, found.timestamp) == ("sub-1", "decision.made", NOW)
            assert found.data == {"action_id": "a-1", "note": "ü"}


def test_by_default_the_time_is_the_clocks() -> None:
    with pytest.raises(WebhookInvalid, match=r"x-supervisor-timestamp is \d+ s ahead, more than 300 s"):
        verify(SECRET, signed_headers([SECRET], "decision.made", "sub-1", 99_999_999_999, BODY), BODY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signature_v2": None}, "header x-supervisor-signature-v2 is missing"),
        ({"timestamp": None}, "header x-supervisor-timestamp is missing"),
        ({"delivery": None}, "header x-supervisor-delivery is missing"),
        ({"delivery": ""}, "header x-supervisor-delivery is missing"),
        ({"timestamp": "soon"}, "x-supervisor-timestamp is no time in whole seconds"),
        ({"timestamp": "-1"}, "no time in whole seconds"),
        ({"timestamp": "٣"}, "no time in whole seconds"),
        ({"timestamp": "9" * 5_000}, "no time in whole seconds"),
        ({"timestamp": str(NOW + 1)}, "signature-v2 doesn't fit"),
        ({"delivery": "sub-2"}, "signature-v2 doesn't fit"),
        ({"signature_v2": "sha256="}, "signature-v2 doesn't fit"),
        ({"signature_v2": "sha256=ü\udc80"}, "signature-v2 doesn't fit"),
        ({"signature_v2": "," * 100_000}, "signature-v2 doesn't fit"),
        ({"event": "action.denied"}, "x-supervisor-event names another event"),
        ({"event": None}, "x-supervisor-event names another event"),
    ],
)
def test_a_changed_header_is_refused(changes: dict[str, str | None], message: str) -> None:
    with pytest.raises(WebhookInvalid, match=message):
        verify(SECRET, headers(**changes), BODY, now=NOW)


def test_version_1s_signature_alone_is_not_enough() -> None:
    sent = headers()
    sent["x-supervisor-signature-v2"] = sent["x-supervisor-signature"]
    with pytest.raises(WebhookInvalid, match="doesn't fit"):
        verify(SECRET, sent, BODY, now=NOW)


def test_a_changed_body_and_another_secret_are_refused() -> None:
    for secret, body in ((SECRET, BODY + b" "), (SECRET, b""), ("another", BODY), (["one", "two"], BODY)):
        with pytest.raises(WebhookInvalid, match="doesn't fit: another secret, or the body or a header was changed"):
            verify(secret, headers(), body, now=NOW)


@pytest.mark.parametrize("secret", ["", [], ["good", ""]])
def test_an_empty_secret_verifies_nothing(secret: Any) -> None:
    sent = signed_headers([""], "decision.made", "sub-1", NOW, BODY)
    with pytest.raises(WebhookInvalid, match="the secret is empty"):
        verify(secret, sent, BODY, now=NOW)


@pytest.mark.parametrize(
    ("now", "good"), [(NOW - 301, False), (NOW - 300, True), (NOW + 300, True), (NOW + 301, False)]
)
def test_a_replay_is_refused_once_it_is_old(now: int, good: bool) -> None:
    if good:
        assert verify(SECRET, headers(), BODY, now=now).id == "sub-1"
        return
    with pytest.raises(WebhookInvalid, match="more than 300 s: a replay, or the clocks differ"):
        verify(SECRET, headers(), BODY, now=now)


def test_while_a_secret_is_replaced_either_side_may_be_first() -> None:
    old_and_new = signed_headers(["new", "old"], "decision.made", "sub-1", NOW, BODY)
    for secret in ("new", "old", ["old", "new"]):
        assert verify(secret, old_and_new, BODY, now=NOW).event == "decision.made"
    assert old_and_new["x-supervisor-signature"] == signed_headers(["new"], "e", "d", 0, BODY)["x-supervisor-signature"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"event": "e"}', b'{"event": "e", "data": []}', b"\xff"])
def test_what_is_signed_and_no_webhook_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookInvalid, match="the body isn't that of a webhook"):
        verify(SECRET, signed_headers([SECRET], "e", "sub-1", NOW, body), body, now=NOW)


def test_a_parsed_body_is_a_mistake_of_the_caller() -> None:
    parsed: Any = json.loads(BODY)
    with pytest.raises(TypeError, match="body is dict: give the raw bytes"):
        verify(SECRET, headers(), parsed, now=NOW)


def test_the_error_is_one_of_the_packages_and_answers_401() -> None:
    assert issubclass(WebhookInvalid, GuardError)
    assert WebhookInvalid.status_hint == 401


def test_a_receiver_needs_no_service_framework_or_database() -> None:
    check = (
        "import sys, supervisor_guards.webhooks; "
        "print(sorted({'sqlalchemy', 'starlette', 'httpx', 'httpcore'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"
