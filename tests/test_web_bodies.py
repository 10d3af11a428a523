"""Bodies and field references, judged by a real guard: what can't be read is never an allow."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine import settings
from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards import Guard
from supervisor_guards.errors import PayloadUnusable, SupervisorBlocked
from supervisor_guards.web import (
    Body,
    File,
    Refusal,
    RequestFacts,
    RouteRule,
    User,
    admit,
    build_payload,
    parse_body,
    payload_source,
)

POLICY = """
name: refund.web
version: 1
action: refund
rules:
  - id: flat
    when: payload.get('body') is None and payload.get('amount', 0) > 100
    action: deny
    reason: too-much
---
name: transfer.web
version: 1
action: transfer
rules:
  - id: nested
    when: (payload.body or {}).get('amount', 0) > 100
    action: deny
    reason: too-much
"""
"""Rules that a missing amount does not trip: they would let everything pass that went unread."""

FLAT = RouteRule("POST /refunds", "refund", payload=["body.amount"])
TYPED = RouteRule("POST /refunds", "refund", payload=["body.amount:number"])
NESTED = RouteRule("POST /transfers", "transfer")
JSON = b'{"amount": 1000}'


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    made = Guard(settings(tmp_path_factory.mktemp("web"), policy=POLICY), inline=True)
    yield made
    made.close()


def facts(body: Body, **changes: Any) -> RequestFacts:
    return RequestFacts("POST", "POST /refunds", body=body, user=User("u-1"), **changes)


def refused(guard: Guard, rule: RouteRule, request: RequestFacts) -> Exception | None:
    decision = admit(guard, rule, request, payload_source(rule, request)).decision
    assert decision is not None
    return decision.error


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (JSON, "application/json"),
        (JSON, "text/plain"),
        (JSON, ""),
        (JSON, "application/vnd.api+json"),
        (JSON, "application/x-www-form-urlencoded"),
        (JSON, "multipart/form-data; boundary=x"),
        (JSON, "application/json; charset=ibm037"),
        (b"\xef\xbb\xbf" + JSON, "application/json"),
        (JSON.decode().encode("utf-16"), "application/json"),
        (JSON.decode().encode("utf-32-le"), "application/json"),
        (b'{"amount": 1, "amount": 1000}', "application/json"),
        (b'{"amount": NaN}', "application/json"),
        (b'{"amount": 1e999}', "application/json"),
        (b'{"amount": 1' + b"0" * 3999 + b"}", "application/json"),
        (b'{"amount": 1' + b"0" * 9999 + b"}", "application/json"),
        (b'{"amount": "\\ud800"}', "application/json"),
        (b'{"amount": "1000"}', "application/json"),
        (b'{"amount": [1000]}', "application/json"),
        (b'[{"amount": 1000}]', "application/json"),
        (b"1000", "application/json"),
        (b'{"amount": 1000', "application/json"),
        (b'{"amount": 1000}}', "text/plain"),
        (b"[" * 5000 + b"]" * 5000, "application/json"),
        (b"amount=1000", "application/x-www-form-urlencoded"),
        (b"amount=1000", "application/x-www-form-urlencoded; charset=ibm037"),
        (b"amount=1000", "text/plain"),
        (b"\x00\xff\xfe", ""),
    ],
)
@pytest.mark.parametrize("rule", [FLAT, TYPED, NESTED], ids=["flat", "typed", "nested"])
def test_no_body_is_allowed_because_its_amount_is_missing(
    guard: Guard, rule: RouteRule, raw: bytes, content_type: str
) -> None:
    assert isinstance(refused(guard, rule, facts(parse_body(raw, content_type))), SupervisorBlocked)


@pytest.mark.parametrize("rule", [FLAT, TYPED, NESTED], ids=["flat", "typed", "nested"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (parse_body(None), "unread"),
        (parse_body(JSON, cap=4), "too_large"),
        (parse_body(JSON[:9], complete=False), "truncated"),
        (parse_body(gzip.compress(JSON), "application/json", "gzip"), "encoded"),
        (parse_body(JSON, "application/json", "gzip"), "encoded"),
        (Body("streamed"), "streamed"),
        (parse_body(b"{", "application/json"), "invalid"),
        (parse_body(b"{", "text/plain"), "unsupported_type"),
    ],
)
def test_what_is_unparsed_is_refused_whatever_the_rule_says(
    guard: Guard, rule: RouteRule, body: Body, status: str
) -> None:
    assert body.status == status
    error = refused(guard, rule, facts(body))
    assert isinstance(error, PayloadUnusable)
    expected = {"too_large": 413, "unsupported_type": 415, "encoded": 415}.get(status, 400)
    assert Refusal.of(error, facts=facts(body)).status == expected


@pytest.mark.parametrize("rule", [FLAT, TYPED, NESTED], ids=["flat", "typed", "nested"])
def test_a_small_amount_passes(guard: Guard, rule: RouteRule) -> None:
    assert refused(guard, rule, facts(parse_body(b'{"amount": 7}', "application/json"))) is None


def test_an_absent_body_is_no_amount_of_zero(guard: Guard) -> None:
    nothing = facts(parse_body(b""))
    assert nothing.body.status == "absent"
    assert isinstance(refused(guard, FLAT, nothing), PayloadUnusable)
    assert refused(guard, NESTED, nothing) is None  # the policy sees `body: null`, and says what that means


def test_in_shadow_the_unusable_payload_is_recorded_as_it_would_have_been_refused(tmp_path: Path) -> None:
    from engine import rows

    guard = Guard(settings(tmp_path, mode="shadow", policy=POLICY), inline=True)
    request = facts(parse_body(b"{", "application/json"))
    entry = admit(guard, FLAT, request, payload_source(FLAT, request))
    assert entry.decision is None
    [row] = rows(guard)
    assert (row.would_have, row.reasons, row.route, row.subject) == ("deny", ("body-invalid",), "POST /refunds", "u-1")
    guard.close()


def test_duplicate_keys_are_ambiguous(guard: Guard) -> None:
    body = parse_body(b'{"amount": 1, "amount": 2}', "application/json")
    assert body.duplicate_keys
    for rule in (FLAT, NESTED):
        error = refused(guard, rule, facts(body))
        assert isinstance(error, PayloadUnusable)
        assert error.reasons == ["ambiguous-payload"]
        assert b"ambiguous-payload" in Refusal.of(error).body


@pytest.mark.parametrize(("pick", "amount"), [("first", "1"), ("last", "1000")])
def test_repeated_names_are_visible_and_picked_as_the_framework_does(pick: Any, amount: str) -> None:
    body = parse_body(b"amount=1&amount=1000", "application/x-www-form-urlencoded")
    request = facts(body, pick=pick, query=(("page", "1"), ("page", "2"), ("x", "y")))
    payload: Any = build_payload(NESTED, request)
    assert payload["body"] == {"amount": amount}
    assert payload["repeated"] == {"query": {"page": ["1", "2"]}, "form": {"amount": ["1", "1000"]}}
    flat: Any = build_payload(RouteRule("/x", "x", payload=["form.amount:integer", "query.page"]), request)
    assert flat == {
        "amount": int(amount),
        "page": "1" if pick == "first" else "2",
        "repeated": {"query": {"page": ["1", "2"]}, "form": {"amount": ["1", "1000"]}},
    }
    other: Any = build_payload(RouteRule("/x", "x", payload=["query.x"]), request)
    assert other == {"x": "y"}


@pytest.mark.parametrize("raw", [JSON, b'{"amount":1,"x":"&amount=1000&"}'])
@pytest.mark.parametrize("rule", [RouteRule("/x", "x", payload=["form.amount"]), FLAT, NESTED])
def test_a_form_that_is_json_as_well_is_ambiguous(guard: Guard, rule: RouteRule, raw: bytes) -> None:
    """Which of the two an application takes isn't known: by its type it is a form, by its content JSON."""
    error = refused(guard, rule, facts(parse_body(raw, "application/x-www-form-urlencoded")))
    assert isinstance(error, PayloadUnusable)
    assert error.reasons == ["ambiguous-payload"]


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"amount=1;amount=2", {"amount": "1;amount=2"}),
        (b"a+b=%C3%A9&empty=&flag", {"a b": "é", "empty": "", "flag": ""}),
        (b"=1", {"": "1"}),
    ],
)
def test_urlencoded_forms_are_read_as_starlette_reads_them(raw: bytes, fields: dict[str, str]) -> None:
    body = parse_body(raw, "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
    assert (body.status, dict(body.form or ())) == ("parsed", fields)


@pytest.mark.parametrize(
    ("raw", "content_type", "form"),
    [
        (b"amount=1000", "text/plain", []),
        (None, "text/plain", []),
        (b"amount=1000", "text/plain", [("note", "x")]),
        (b"--x junk", "multipart/form-data; boundary=x", []),
        (b"&&", "application/x-www-form-urlencoded", None),
    ],
)
def test_content_in_which_no_field_was_found_is_not_an_empty_form(
    guard: Guard, raw: bytes | None, content_type: str, form: Any
) -> None:
    body = parse_body(raw, content_type, form=form)
    assert body.status == "unsupported_type"
    assert isinstance(refused(guard, FLAT, facts(body)), PayloadUnusable)


def test_files_are_metadata(guard: Guard) -> None:
    scan = File("scan", "C:\\temp\\../a\x1b\n.png", 5, "image/png", "ab" * 32)
    body = parse_body(None, "multipart/form-data", form=[("amount", "7")], files=[scan])
    payload: Any = build_payload(NESTED, facts(body))
    assert payload["body"] == {"amount": "7"}
    assert payload["files"][0].filename == "a.png"
    again = parse_body(None, "multipart/form-data", form=[("amount", "7")], files=[scan])
    assert again.digest == body.digest


def test_a_file_and_a_field_of_one_name_are_ambiguous() -> None:
    body = parse_body(None, "multipart/form-data", form=[("doc", "7")], files=[File("doc", "a")])
    unusable: Any = build_payload(RouteRule("/x", "x", payload=["form.doc"]), facts(body))
    assert unusable.reason == "ambiguous-payload"


def test_unread_content_keeps_approvals_apart(guard: Guard) -> None:
    """Two bodies that nobody could parse are not the same payload, though both look unreadable."""
    digests = set()
    for raw in (b"{1", b"{2"):
        request = facts(parse_body(raw, "application/json"))
        entry = admit(guard, NESTED, request, payload_source(NESTED, request))
        digests.add(guard.supervisor.digest(entry.action))
    assert len(digests) == 2
    request = facts(parse_body(b"too long", cap=3))
    entry = admit(guard, NESTED, request, payload_source(NESTED, request))
    assert guard.supervisor.digest(entry.action) == ""  # nothing to bind an approval to


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
raw_bodies = st.one_of(
    st.binary(max_size=200),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(["amount", "__error__", "body"]), json_values, max_size=3).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ),
)
content_types = st.sampled_from(
    ["", "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"]
) | st.text(max_size=30)


@given(raw=raw_bodies, content_type=content_types, encoding=st.sampled_from(["", "gzip", "identity"]))
def test_a_body_is_always_told_apart_and_never_allowed_beyond_what_it_says(
    guard: Guard, raw: bytes, content_type: str, encoding: str
) -> None:
    body = parse_body(raw, content_type, encoding)
    error = refused(guard, NESTED, facts(body))
    if error is None:
        payload: Any = build_payload(NESTED, facts(body))
        assert body.status in ("parsed", "absent")
        amount = (payload["body"] or {}).get("amount", 0)
        assert isinstance(amount, (int, float))
        assert amount <= 100
