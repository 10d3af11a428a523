"""The HTTP answers: status, headers and content, the same for every framework."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards.errors import (
    ApprovalInvalid,
    ApprovalUsed,
    ConfigurationError,
    GuardError,
    PayloadUnusable,
    ReviewRejected,
    ReviewTimedOut,
    SupervisorBlocked,
    SupervisorReviewPending,
    SupervisorUnavailable,
)
from supervisor_guards.web import TYPE_BASE, Refusal, RequestFacts, approvals, parse_body

SECRET = "secret-in-a-reason"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def unusable(*reasons: str) -> PayloadUnusable:
    return PayloadUnusable("deny", [*reasons], "a-1")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (SupervisorBlocked("deny", [SECRET], "a-1"), 403, "denied"),
        (ReviewRejected("review", [SECRET], "a-1"), 403, "denied"),
        (ReviewTimedOut("review", [SECRET], "a-1"), 403, "denied"),
        (SupervisorReviewPending("a-1", [SECRET]), 403, "approval-required"),
        (ApprovalInvalid("deny", ["pending"], "a-1"), 403, "approval-required"),
        (ApprovalInvalid("deny", ["other-content"], "a-1"), 403, "approval-invalid"),
        (ApprovalInvalid("deny", ["expired"], "a-1"), 403, "approval-invalid"),
        (ApprovalInvalid("deny", ["rejected"], "a-1"), 403, "approval-invalid"),
        (ApprovalUsed("deny", ["used"], "a-1"), 409, "approval-used"),
        (SupervisorUnavailable(SECRET, "a-1"), 503, "supervisor-unavailable"),
        (unusable("ambiguous-payload"), 400, "ambiguous-payload"),
        (unusable("body-too-large"), 413, "payload-too-large"),
        (unusable("unsupported-type"), 415, "unsupported-type"),
        (unusable("body-encoded"), 415, "unsupported-type"),
        (unusable("body-invalid"), 400, "payload-unusable"),
        (unusable(f"cast-failed:{SECRET}"), 400, "payload-unusable"),
        (unusable("rule-error:cap"), 400, "payload-unusable"),
    ],
)
def test_answers(error: GuardError, status: int, kind: str) -> None:
    refusal = Refusal.of(error, action="refund")
    headers = dict(refusal.headers)
    problem = json.loads(refusal.body)
    assert refusal.status == problem["status"] == status
    assert problem["type"] == TYPE_BASE + kind
    assert problem["instance"] == "urn:supervisor-guards:action:a-1"
    assert problem["action"] == "refund"
    assert problem["title"]
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Length"] == str(len(refusal.body))
    assert ("Retry-After" in headers) is (kind in ("approval-required", "supervisor-unavailable"))
    assert SECRET.encode() not in refusal.body


def test_a_fault_of_the_settings_looks_like_nobodys_decision() -> None:
    assert Refusal.of(ConfigurationError(SECRET)).status == 503


def test_where_to_look_and_when_to_come_back() -> None:
    pending = SupervisorReviewPending("a-1", [])
    refusal = Refusal.of(pending, review_url="/reviews/a-1", retry_after=7)
    assert json.loads(refusal.body)["review_url"] == "/reviews/a-1"
    assert dict(refusal.headers)["Retry-After"] == "7"
    assert b"review_url" not in Refusal.of(SupervisorBlocked("deny", []), review_url="/reviews/a-1").body


@pytest.mark.parametrize(
    ("raw", "options", "status"),
    [
        (b"x" * 9, {"cap": 3}, 413),
        (b"x", {"content_type": "text/plain"}, 415),
        (b"x", {"content_type": "application/json"}, 400),
        (b'{"a": 1}', {}, 400),
    ],
)
def test_where_a_rule_met_the_body_s_marker_the_body_tells_the_status(raw: bytes, options: Any, status: int) -> None:
    facts = RequestFacts("POST", "POST /x", body=parse_body(raw, **options))
    assert Refusal.of(unusable("rule-error:cap"), facts=facts).status == status
    assert Refusal.of(unusable("cast-failed:query.page:integer"), facts=facts).status == 400


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/html;q=0.5, application/json;q=0.4", True),
        ("text/html;q=0.4, application/json;q=0.5", False),
        ("text/html, application/problem+json", False),
        ("text/html;q=0", False),
        ("text/html;q=x", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_a_browser_gets_a_page(accept: str, page: bool) -> None:
    refusal = Refusal.of(SupervisorReviewPending("<a-1>", []), action='<b"', review_url='/r?"<', accept=accept)
    assert dict(refusal.headers)["Content-Type"].startswith("text/html") is page
    assert dict(refusal.headers)["Content-Length"] == str(len(refusal.body))
    if page:
        for hostile in (b"<a-1>", b'<b"', b'"<'):
            assert hostile not in refusal.body


@given(accept=st.text())
def test_no_accept_header_breaks_the_answer(accept: str) -> None:
    assert Refusal.of(SupervisorBlocked("deny", []), accept=accept).status == 403


A, B, C, D, E = ("018f0000-0000-7000-8000-00000000000" + digit for digit in "abcde")


@pytest.mark.parametrize(
    ("values", "ids"),
    [([], ()), ([A], (A,)), ([f"{A}, {B}"], (A, B)), ([f"{A},{B},{C},{D}"], (A, B, C, D)), ([f" {A} "], (A,))],
)
def test_approval_header(values: list[str], ids: tuple[str, ...]) -> None:
    assert approvals(values) == ids


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([A, B], "approval-header-repeated"),
        ([A, A], "approval-header-repeated"),
        ([f"{A},{B},{C},{D},{E}"], "too-many-approvals"),
        ([f"{A},{A}"], "approval-header-malformed"),
        ([""], "approval-header-malformed"),
        ([f"{A},"], "approval-header-malformed"),
        (["short"], "approval-header-malformed"),
        (["a" * 200], "approval-header-malformed"),
        ([f"{A}\n"[:-1] + "\x00"], "approval-header-malformed"),
        (["../../etc/passwd"], "approval-header-malformed"),
    ],
)
def test_a_bad_approval_header_is_an_invalid_approval(values: list[str], reason: str) -> None:
    with pytest.raises(ApprovalInvalid) as caught:
        approvals(values)
    assert caught.value.reasons == [reason]
    assert Refusal.of(caught.value).status == 403


@given(values=st.lists(st.text(max_size=80), max_size=2))
def test_a_fuzzed_approval_header_is_ids_or_a_refusal(values: list[str]) -> None:
    try:
        ids = approvals(values)
    except ApprovalInvalid:
        return
    assert len(ids) <= 4
    assert all(one.isascii() and one.isprintable() for one in ids)
