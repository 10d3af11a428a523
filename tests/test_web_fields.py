"""Field references: what each one lands as, and that none of them can be confused or made to raise."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards import ConfigurationError
from supervisor_guards._payload import snapshot
from supervisor_guards.web import (
    ANONYMOUS,
    UNKNOWN,
    Body,
    RequestFacts,
    RouteRule,
    Unreadable,
    Unusable,
    User,
    build_payload,
    parse_body,
)

FACTS = RequestFacts(
    "POST",
    "POST /refunds/{order_id}",
    path={"order_id": 17, "ref": UUID(int=1)},
    raw_path={"order_id": "1_7"},
    query=(("page", "2"), ("a.b", "dotted")),
    headers=(("x-request-id", "r-1"), ("x-twice", "1"), ("x-twice", "2")),
    user=User("u-1", "service", ("staff",), ("refunds:write",), "acme"),
    body=parse_body(b'{"amount": 12.5, "items": [{"sku": "A"}, {"sku": "B"}], "note": null, "1": "one"}'),
)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("path.order_id", {"order_id": 17}),
        ("id=path.order_id", {"id": 17}),
        ("path.order_id:integer", {"order_id": 17}),
        ("query.page", {"page": "2"}),
        ("query.page:number", {"page": 2}),
        ("query.a.b", {"a.b": "dotted"}),
        ("query.nothing", {}),
        ("query.nothing:number", {}),
        ("body.amount", {"amount": 12.5}),
        ("body.items.1.sku", {"sku": "B"}),
        ("body.items.2.sku", {}),
        ("body.1", {"1": "one"}),
        ("body.note", {"note": None}),
        ("first=body.items.0", {"first": {"sku": "A"}}),
        ("header.X-Request-Id", {"x-request-id": "r-1"}),
        ("header.x-nothing", {}),
        ("user.id", {"id": "u-1"}),
        ("user.type", {"type": "service"}),
        ("user.groups", {"groups": ["staff"]}),
        ("user.scopes", {"scopes": ["refunds:write"]}),
        ("user.tenant", {"tenant": "acme"}),
    ],
)
def test_a_reference_lands_under_its_name(reference: str, expected: dict[str, Any]) -> None:
    assert build_payload(RouteRule("/x", "x", payload=[reference]), FACTS) == expected


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("body.items:number", "cast-failed:body.items:number"),
        ("body.amount:integer", "cast-failed:body.amount:integer"),
        ("body.note:number", "cast-failed:body.note:number"),
        ("body.note:boolean", "cast-failed:body.note:boolean"),
        ("n=query.a.b:number", "cast-failed:n=query.a.b:number"),
        ("header.x-twice", "ambiguous-payload"),
        ("form.amount", "unsupported-type"),
    ],
)
def test_what_cannot_be_told_makes_the_payload_unusable(reference: str, reason: str) -> None:
    found = build_payload(RouteRule("/x", "x", payload=["path.order_id", reference]), FACTS)
    assert isinstance(found, Unusable)
    assert found.reason == reason
    assert found.payload["order_id"] == 17
    assert snapshot(found).fault == reason


@pytest.mark.parametrize("reference", ["body.amount.cents", "body.items.sku", "body.items.-1", "body.items.+0"])
def test_another_shape_is_unreadable_and_not_missing(reference: str) -> None:
    payload: Any = build_payload(RouteRule("/x", "x", payload=[reference]), FACTS)
    [value] = payload.values()
    assert isinstance(value, Unreadable)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("number", "10", 10),
        ("number", "-1.5e2", -150.0),
        ("integer", "0007", 7),
        ("integer", "1e3", 1000),
        ("integer", "7.0", 7),
        *(("boolean", text, True) for text in ("1", "true", "ON", "yes")),
        *(("boolean", text, False) for text in ("0", "False", "off", "no")),
    ],
)
def test_casts(kind: str, value: str, expected: Any) -> None:
    facts = RequestFacts("GET", "GET /x", query=(("a", value),))
    payload: Any = build_payload(RouteRule("/x", "x", payload=[f"query.a:{kind}"]), facts)
    assert payload["a"] == expected
    assert type(payload["a"]) is type(expected)


@pytest.mark.parametrize("kind", ["number", "integer", "boolean"])
@pytest.mark.parametrize(
    "value", ["", " 1", "1_0", "1,5", "0x10", "\u0661", "nan", "inf", "1e999", "--1", "2 ", "10\n", "1.5.1", "maybe"]
)
def test_text_that_programs_read_differently_is_not_cast(kind: str, value: str) -> None:
    facts = RequestFacts("GET", "GET /x", query=(("a", value),))
    assert isinstance(build_payload(RouteRule("/x", "x", payload=[f"query.a:{kind}"]), facts), Unusable)


@pytest.mark.parametrize(("user", "state"), [(ANONYMOUS, "anonymous"), (UNKNOWN, "unknown"), (User("u"), "known")])
def test_nobody_and_not_known_yet_are_different(user: User, state: str) -> None:
    facts = RequestFacts("GET", "GET /x", user=user)
    known: Any = facts.engine_facts().request
    assert known["user"]["state"] == state
    assert facts.subject == ("u" if state == "known" else None)


@pytest.mark.parametrize(("own", "tenant"), [(None, "acme"), ("other", "other")])
def test_a_tenant_is_the_request_s_else_the_user_s(own: str | None, tenant: str) -> None:
    facts: Any = RequestFacts("GET", "GET /x", user=User("u", tenant="acme"), tenant=own).engine_facts()
    assert (facts.tenant, facts.request["tenant"]) == (tenant, tenant)


def test_without_references_a_query_parameter_cannot_pose_as_a_body_field() -> None:
    facts = RequestFacts("POST", "POST /x", query=(("amount", "1"),), path={"id": 7}, body=parse_body(b'{"amount": 9}'))
    assert build_payload(RouteRule("/x", "x"), facts) == {
        "path": {"id": 7}, "query": {"amount": "1"}, "body": {"amount": 9}, "body_status": "parsed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"body": "none"}, {"path": {}, "query": {}, "body_status": "unread"}),
        (
            {"body": "metadata"},
            {
                "path": {}, "query": {}, "body_status": "unread",
                "body_metadata": {"content_type": "image/png", "length": 9},
            },
        ),
    ],
)  # fmt: skip
def test_body_modes(options: dict[str, Any], expected: dict[str, Any]) -> None:
    facts = RequestFacts("POST", "POST /x", body=Body("unread", size=9, content_type="image/png"))
    assert build_payload(RouteRule("/x", "x", **options), facts) == expected


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({"include": ["body.a", "body.deep.x"]}, {"a": 1, "deep": {"x": 2}}),
        ({"exclude": ["body.a", "body.deep.x", "body.list.s", "body.none.x"]}, {"deep": {"y": 3}, "list": [{"t": 5}]}),
        ({"include": ["body.deep"], "exclude": ["body.deep.y"]}, {"deep": {"x": 2}}),
    ],
)
def test_a_namespaced_payload_is_narrowed(options: dict[str, Any], body: dict[str, Any]) -> None:
    raw = b'{"a": 1, "deep": {"x": 2, "y": 3}, "list": [{"s": 4, "t": 5}]}'
    facts = RequestFacts("POST", "POST /x", body=parse_body(raw))
    payload: Any = build_payload(RouteRule("/x", "x", **options), facts)
    assert payload["body"] == body
    assert payload["body_status"] == "parsed"


def test_narrowing_never_makes_an_unread_body_look_empty() -> None:
    facts = RequestFacts("POST", "POST /x", body=parse_body(b"{"))
    for options in ({"include": ["body.a"]}, {"exclude": ["body.a"]}):
        payload: Any = build_payload(RouteRule("/x", "x", **options), facts)  # type: ignore[arg-type]
        assert isinstance(payload["body"], Unreadable)


words = st.text("abcdefgh.:=-_ 019", max_size=24)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.uuids(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    source=st.sampled_from(["path", "query", "body", "form", "header", "user", "id=path", "x=body"]),
    rest=words,
    path=st.dictionaries(st.sampled_from(["a", "b", "0"]), values),
    pairs=st.lists(st.tuples(st.sampled_from(["a", "b", "0"]), st.text()), max_size=3),
    raw=st.binary(max_size=40) | st.just(b'{"a": {"b": [1]}}') | st.just(b"a=1&a=2"),
    kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded"]),
)
def test_a_reference_is_refused_when_written_or_never_raises(
    source: str, rest: str, path: dict[str, Any], pairs: list[tuple[str, str]], raw: bytes, kind: str
) -> None:
    try:
        rule = RouteRule("/x", "x", payload=[f"{source}.{rest}"])
    except ConfigurationError:
        return
    facts = RequestFacts(
        "POST", "POST /x", path=path, query=tuple(pairs), headers=tuple(pairs), body=parse_body(raw, kind)
    )
    found = build_payload(rule, facts)
    taken = snapshot(found)
    assert (taken.fault is not None) is isinstance(found, Unusable)
