"""The parts without I/O: token, breaker, the scan of a list, the words of the wire."""

from __future__ import annotations

import json
import traceback
from typing import Any

import jwt
import pytest

from supervisor_guards import SupervisorUnavailable
from supervisor_guards._address import Address, parsed, problems
from supervisor_guards._model import Outcome
from supervisor_guards.remote import wire
from supervisor_guards.remote.breaker import Breaker
from supervisor_guards.remote.faults import Fault
from supervisor_guards.remote.requests import Scan, Whole
from supervisor_guards.remote.token import Token
from tests.remote.peers import SECRET, PlainService
from tests.remote.serving import by_amount, guarded_by


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_renewed_before_it_ends_and_when_the_clock_is_set_back() -> None:
    clock = Clock()
    token = Token("app-1", SECRET, ("refund",), clock)
    first = token.header()
    clock.now += 239
    assert token.header() == first
    clock.now += 2
    second = token.header()
    assert second != first
    claims = jwt.decode(second[1].split()[1], options={"verify_signature": False})
    assert claims == {"sub": "app-1", "scopes": ["refund"], "iat": int(clock.now), "exp": int(clock.now) + 300}
    clock.now -= 3600
    assert token.header() not in (first, second)
    assert SECRET not in repr(token)
    assert second[1].decode() not in repr(token)


def test_an_open_breaker_lets_one_call_through_at_a_time() -> None:
    clock = Clock()
    breaker = Breaker(2, 10.0, clock)
    down = Fault("broken", "ended the connection")
    breaker.failed(down)
    breaker.admit()
    breaker.failed(down)
    assert breaker.state == "open"
    with pytest.raises(Fault, match=r"2 failures in a row, the last: ended the connection; asked again in 10\.0 s"):
        breaker.admit()
    clock.now += 10
    assert breaker.state == "half-open"
    breaker.admit()  # it asks
    with pytest.raises(Fault):
        breaker.admit()
    breaker.failed(down)
    assert breaker.state == "open"
    clock.now += 10
    breaker.admit()
    breaker.passed()
    assert breaker.state == "closed"
    breaker.admit()
    breaker.admit()


def test_a_service_that_refuses_one_request_works() -> None:
    breaker = Breaker(1, 10.0)
    breaker.failed(Fault("answered", "answered 422", status=422))
    assert breaker.state == "closed"
    breaker.failed(Fault("answered", "answered 401", status=401))
    assert breaker.state == "open"


def cases(count: int) -> list[dict[str, Any]]:
    """Newest first."""
    return [
        {"id": f"case-{n}", "action_id": f"action-{n}", "status": "pending", "created_at": f"2026-01-{n:02}T00:00:00Z",
         "action_payload": {"note": 'a "}]" in € text'}}
        for n in range(count, 0, -1)
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_scan_stops_at_the_case_whatever_the_pieces(size: int) -> None:
    text = json.dumps(cases(20), ensure_ascii=False).encode()
    scan = Scan("action-11", "")
    fed = 0
    for at in range(0, len(text), size):
        fed += size
        if scan.feed(text[at : at + size]):
            break
    assert scan.found is not None
    assert scan.found["id"] == "case-11"
    assert fed < len(text) * 0.6 + size


def test_a_scan_stops_where_cases_are_older_than_the_question() -> None:
    scan = Scan("action-99", "2026-01-15T12:00:00")
    pieces = [json.dumps(case).encode() + b", " for case in cases(20)]
    assert scan.feed(b"[") is False
    assert [scan.feed(piece) for piece in pieces[:6]] == [False] * 5 + [True]
    assert scan.found is None


@pytest.mark.parametrize("body", [b"<html>", b'{"detail": "no"}', b"nope", b"\xff\xfe\xfd\xfc\xfb"])
def test_a_scan_of_something_else_says_so(body: bytes) -> None:
    scan = Scan("a", "")
    assert scan.feed(body)
    assert scan.wrong is not None


def test_a_scan_and_a_whole_are_bounded() -> None:
    scan = Scan("a", "", limit=10)
    assert scan.feed(b"[" + b" " * 20)
    with pytest.raises(Fault, match="more than 10 bytes"):
        Whole(limit=10).feed(b"x" * 11)


GOOD = {
    "id": "i-1", "action_id": "i-1", "decision": "deny", "reasons": ["cap"], "risk_score": 0,
    "policy_version": "refund.base@v3", "threat_level": "none", "threats": [], "shadow_would_have": None,
    "would_have": {"decision": "deny", "reasons": ["cap"], "rule_ids": ["hard-cap"]}, "added_later": 1,
}  # fmt: skip


def question(shadow: bool = False) -> wire.Question:
    return wire.Question("refund", wire.msgspec.Raw(b"{}"), shadow, id="i-1")


def test_a_verdict_names_rules_and_policy() -> None:
    verdict = wire.verdict(json.dumps(GOOD).encode(), question())
    assert verdict is not None
    assert (verdict.outcome, verdict.reasons, verdict.rule_ids) == (Outcome.DENY, ("cap",), ("hard-cap",))
    assert (verdict.policy_name, verdict.policy_version) == ("refund.base", "refund.base@v3")
    assert verdict.recorded


def test_a_shadow_answer_that_was_not_evaluated_is_no_verdict() -> None:
    rate_limited = {**GOOD, "decision": "allow", "reasons": ["rate limited: not evaluated"], "would_have": None}
    assert wire.verdict(json.dumps(rate_limited).encode(), question(shadow=True)) is None


WRONG = [
    {**GOOD, "id": "i-2"},
    {**GOOD, "id": None},
    {**GOOD, "decision": "ALLOW"},
    {**GOOD, "action_id": "dry-run"},
    {**GOOD, "action_id": ""},
    {**GOOD, "would_have": {"decision": "maybe"}},
    {key: value for key, value in GOOD.items() if key != "reasons"},
]


@pytest.mark.parametrize("answer", WRONG)
def test_a_wrong_answer_is_a_fault(answer: dict[str, Any]) -> None:
    with pytest.raises(Fault):
        wire.verdict(json.dumps(answer).encode(), question())
    with pytest.raises(Fault):
        wire.verdicts(json.dumps({"items": [answer]}).encode(), [question()])


@pytest.mark.parametrize("items", [[], [GOOD, GOOD], [{**GOOD, "id": "i-3"}]])
def test_a_batch_answers_each_question_once(items: list[Any]) -> None:
    with pytest.raises(Fault):
        wire.verdicts(json.dumps({"items": items}).encode(), [question()])


def test_what_the_service_says_is_escaped_and_bounded() -> None:
    body = json.dumps({"detail": "no\n\x1b[31mred" + "x" * 10_000}).encode()
    with pytest.raises(Fault) as caught:
        wire.check_status(500, body)
    assert len(caught.value.what) < 300
    assert "\n" not in caught.value.what
    assert "\x1b" not in caught.value.what


ADDRESSES = [
    ("https://supervisor.example", Address(True, "supervisor.example", 443, ""), "https://supervisor.example"),
    ("http://localhost:8000/a/b/", Address(False, "localhost", 8000, "/a/b"), "http://localhost:8000/a/b"),
    ("http://[::1]:9", Address(False, "::1", 9, ""), "http://[::1]:9"),
]


@pytest.mark.parametrize(("text", "address", "shown"), ADDRESSES)
def test_an_address_is_taken_apart(text: str, address: Address, shown: str) -> None:
    assert parsed(text) == address
    assert str(address) == shown
    assert problems("base_url", text, False) == []


UNUSABLE = [
    "http://10.0.0.1", "http://localhost.example", "ftp://x", "https://", "https://x/?a=1", "https://x y", "https://a:b@c",
    "http://127.0.0.1:x",
]  # fmt: skip


@pytest.mark.parametrize("text", UNUSABLE)
def test_an_address_that_cannot_be_used_is_a_problem(text: str) -> None:
    (problem,) = problems("base_url", text, False)
    assert "base_url" in problem
    assert "a:b" not in problem


def test_variables_of_a_traceback_hold_no_secret() -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url) as guard:
        peer.secrets.clear()
        with pytest.raises(SupervisorUnavailable) as caught:
            guard.require("refund", {"amount": 1})
    error: BaseException | None = caught.value
    shown = []
    while error is not None:
        shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        error = error.__cause__ or error.__context__
    assert SECRET not in "".join(shown)
    assert peer.requests[-1].headers["authorization"].split(".")[-1] not in "".join(shown)
