"""Rules for routes: how they are written, what is wrong with them, which of them a route has."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from supervisor_guards import ConfigurationError
from supervisor_guards.web import RequestFacts, RouteInfo, RouteRule, RouteRules, audit, register, supervised_exempt
from supervisor_guards.web import exempt_reason as reason_of


def endpoint() -> None: ...


@pytest.mark.parametrize(
    ("route", "methods", "template", "name", "method_set"),
    [
        ("POST /refunds/{order_id}", None, "/refunds/{order_id}", None, {"POST"}),
        ("post /refunds", None, "/refunds", None, {"POST"}),
        ("GET /refunds", None, "/refunds", None, {"GET", "HEAD"}),
        ("/refunds", None, "/refunds", None, None),
        ("/refunds", ["get", "DELETE"], "/refunds", None, {"GET", "HEAD", "DELETE"}),
        ("/refunds/<int:id>/with space", None, "/refunds/<int:id>/with space", None, None),
        ("billing:refund", None, None, "billing:refund", None),
        ("api.v1.refund", "POST", None, "api.v1.refund", {"POST"}),
    ],
)
def test_a_route_is_a_template_or_a_name(
    route: str, methods: Any, template: str | None, name: str | None, method_set: set[str] | None
) -> None:
    rule = RouteRule(route, "refund", methods=methods)
    assert (rule.template, rule.name, rule.method_set) == (template, name, method_set)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"route": ""}, "route=''"),
        ({"route": "POST refunds"}, "begins with '/'"),
        ({"route": "PO5T /refunds"}, "'PO5T' is no HTTP method"),
        ({"methods": ["GET"]}, "give one"),
        ({"route": "/refunds", "methods": []}, "methods is empty"),
        ({"action": " "}, "name the action type"),
        ({"mode": "enforced"}, "did you mean 'enforce'?"),
        ({"on_review": "wait"}, "choose one of block, fail_closed, fail_open, shadow"),
        ({"body": "parse"}, "did you mean 'parsed'?"),
        ({"max_body_bytes": 0}, "max_body_bytes=0"),
        ({"max_body_bytes": True}, "max_body_bytes=True"),
        ({"payload": "body.amount"}, "list field references"),
        ({"payload": []}, "list field references"),
        ({"payload": [7]}, "7 is not a field reference"),
        ({"payload": ["bdy.amount"]}, "did you mean 'body'?"),
        ({"payload": ["query"]}, "'query' names no field"),
        ({"payload": ["body..amount"]}, "'body..amount' names no field"),
        ({"payload": ["=body.amount"]}, "name=source.field:type"),
        ({"payload": ["body.amount:float"]}, "number, integer, boolean"),
        ({"payload": ["user.email"]}, "a user has id, type"),
        ({"payload": ["header.Authorization"]}, "is a secret"),
        ({"payload": ["header.cookie"]}, "is a secret"),
        ({"payload": ["body.amount", "query.amount"]}, "both land under 'amount'"),
        ({"payload": ["body.amount"], "body": "none"}, "needs the body"),
        ({"payload": ["form.note"], "body": "metadata"}, "needs the body"),
        ({"payload": ["path.id"], "include": ["path.id"]}, "narrows a namespaced payload"),
        ({"include": ["bdy.amount"]}, "did you mean 'body'?"),
        ({"exclude": "body.card"}, "list dotted fields"),
        ({"sample_key": "usr.id"}, "did you mean 'user'?"),
        ({"sample_key": 7}, "give a plain function"),
        ({"pyload": ["body.amount"]}, "unknown key 'pyload'; did you mean 'payload'?"),
    ],
)
def test_a_fault_names_the_rule_and_the_value(changes: dict[str, Any], told: str) -> None:
    written = {"route": "POST /refunds", "action": "refund", **changes}
    with pytest.raises(ConfigurationError) as caught:
        RouteRule.from_mapping(written)
    assert told in str(caught.value)
    assert all(problem.startswith(f"rule {written['route']!r}") for problem in caught.value.problems)


def test_all_faults_of_all_rules_come_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        RouteRules(
            [
                {"route": "POST /a", "action": "a", "mode": "x", "body": "y", "colour": "z"},
                {"action": "b"},
                ["POST /c", "c"],  # type: ignore[list-item]
                RouteRule("POST /d", "d"),
                {"route": "/d", "action": "d"},
            ]
        )
    told = str(caught.value)
    assert len(caught.value.problems) == 6
    for part in (
        "mode='x'",
        "body='y'",
        "unknown key 'colour'",
        "'route' is missing",
        "give a mapping",
        "repeats rule",
    ):
        assert part in told


RULES = RouteRules(
    [
        RouteRule("POST /refunds/{order_id}", "refund"),
        RouteRule("/refunds/{order_id}", "touch"),
        RouteRule("GET /refunds/{order_id}", "look"),
        RouteRule("billing:refund", "refund", methods=["POST"]),
        RouteRule("billing:delete", "delete", methods=["DELETE"]),
        RouteRule(endpoint, "direct"),
    ]
)


@pytest.mark.parametrize(
    ("method", "template", "names", "actions"),
    [
        ("POST", "/refunds/{order_id}", [], ["refund", "touch"]),
        ("post", "/refunds/{order_id}", [], ["refund", "touch"]),
        ("HEAD", "/refunds/{order_id}", [], ["touch", "look"]),
        ("FOO", "/refunds/{order_id}", [], ["touch"]),
        ("POST", "/refunds/17", [], []),
        ("POST", "/refunds/{order_id}/", [], []),
        ("POST", "/refunds/{order_id}", ["billing:refund"], ["refund", "touch"]),
        ("POST", None, ["billing:refund", "billing:delete"], ["refund"]),
        ("DELETE", None, ["billing:refund", "billing:delete"], ["delete"]),
        ("POST", None, [], []),
    ],
)
def test_rules_of_a_route(method: str, template: str | None, names: list[str], actions: list[str]) -> None:
    assert [rule.action for rule in RULES.for_route(method, template, names)] == actions


def test_a_rule_may_name_the_endpoint_itself() -> None:
    import functools

    assert [rule.action for rule in RULES.for_route("POST", "/x", (), functools.partial(endpoint))] == ["direct"]
    assert RULES.for_route("POST", "/x", (), print) == ()


@pytest.mark.parametrize(
    ("options", "reads"),
    [
        ({}, True),
        ({"payload": ["path.id"]}, False),
        ({"payload": ["path.id", "body.amount"]}, True),
        ({"payload": ["form.amount"]}, True),
        ({"payload": ["path.id"], "body": "parsed"}, True),
        ({"body": "none"}, False),
        ({"body": "metadata"}, False),
        ({"payload": dict}, False),
    ],
)
def test_the_body_is_read_only_where_the_rule_needs_it(options: dict[str, Any], reads: bool) -> None:
    assert RouteRule("POST /refunds", "refund", **options).reads_body is reads


def test_a_misspelt_template_is_a_problem_of_the_audit() -> None:
    routes = [RouteInfo(frozenset({"POST"}), "/refunds/{order_id}", ("refund",))]
    found = audit(routes, RouteRules([RouteRule("POST /refund/{order_id}", "refund")]), ())
    assert [rule.action for rule in found.rules_without_route] == ["refund"]
    assert "'POST /refund/{order_id}'" in found.problems[0]
    assert found.exit_code() == 1


def test_a_rule_for_a_method_that_the_route_lacks_matches_nothing() -> None:
    routes = [RouteInfo(frozenset({"POST"}), "/refunds")]
    assert RouteRules([RouteRule("DELETE /refunds", "refund")]).unmatched(routes)
    assert not RouteRules([RouteRule("/refunds", "refund")]).unmatched(routes)


def test_the_audit_tells_guarded_exempt_and_open_routes_apart() -> None:
    @supervised_exempt(reason="answers only what the caller sent")
    def echo() -> None: ...

    routes = [
        RouteInfo(frozenset({"POST"}), "/refunds", ("refund",)),
        RouteInfo(frozenset({"GET"}), "/refunds/{id}"),
        RouteInfo(frozenset({"post"}), "/open"),
        RouteInfo(None, "/any"),
        RouteInfo(frozenset({"POST"}), "/echo", exempt_reason=reason_of(echo)),
        RouteInfo(frozenset({"GET"}), "/legacy", opaque=True),
        RouteInfo(frozenset({"PUT"}), "/own", actions=("own",)),
    ]
    found = audit(routes, RouteRules([RouteRule("refund", "refund")]), ())
    assert [(str(one.route), one.actions) for one in found.covered] == [
        ("POST /refunds", ("refund",)),
        ("PUT /own", ("own",)),
    ]
    assert [route.template for route in found.unguarded] == ["/open", "/any", "/legacy"]
    assert [route.exempt_reason for route in found.exempt] == ["answers only what the caller sent"]
    assert found.problems == ()
    assert (found.exit_code(), found.exit_code(strict=True)) == (0, 1)


def test_a_guard_that_is_no_endpoint_is_named_with_its_place() -> None:
    """The wrong order of decorators: the framework registered the bare function."""

    def bare() -> None: ...

    def below() -> None: ...

    def elsewhere() -> None: ...

    above = functools.wraps(bare)(lambda: None)
    register(above, "refund")
    register(below, "transfer")
    register(elsewhere, "payment")
    routes = [RouteInfo(None, "/x", endpoint=bare), RouteInfo(None, "/y", actions=("transfer",), endpoint=below)]
    found = audit(routes, RouteRules(), (above, below, elsewhere))
    assert [one.action for one in found.ineffective] == ["refund"], "another application's guard is none of ours"
    assert f"{__file__}:{bare.__code__.co_firstlineno}" in found.problems[0]
    assert found.exit_code() == 1


def test_a_wrapper_that_is_gone_is_not_reported() -> None:
    import gc

    register(lambda: None, "gone-action")
    gc.collect()
    assert "gone-action" not in [one.action for one in audit([], RouteRules()).ineffective]


def test_an_exemption_holds_for_the_class_it_is_said_of_alone() -> None:
    @supervised_exempt(reason="looks only")
    class Looking: ...

    class Paying(Looking): ...

    assert reason_of(Looking) == "looks only"
    assert reason_of(Paying) is None


def test_an_exemption_needs_a_reason() -> None:
    with pytest.raises(ConfigurationError, match="say in words"):
        supervised_exempt(reason=" ")


def test_secret_headers_never_reach_the_supervisor() -> None:
    headers = (("authorization", "Bearer s3cret"), ("cookie", "s3cret"), ("user-agent", "curl"), ("x-other", "s3cret"))
    facts = RequestFacts("POST", "POST /x", headers=headers, allowed_headers=frozenset({"authorization", "user-agent"}))
    assert facts.engine_facts().request["headers"] == {"user-agent": "curl"}  # type: ignore[index]
