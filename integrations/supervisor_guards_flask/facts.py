"""What is known of a request once Flask has matched it: its route, parameters, and facts for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor_guards.web import Body, RequestFacts, RouteRule, RouteRules, User, approvals


def names_of(endpoint: str) -> tuple[str, ...]:
    """The names a rule may use: the endpoint, and `blueprint.*` for each blueprint it is in, the innermost first."""
    names, (blueprint, dot, _) = [endpoint], endpoint.rpartition(".")
    while dot:
        names.append(f"{blueprint}.*")
        blueprint, dot, _ = blueprint.rpartition(".")
    return tuple(names)


def rules_for(rules: RouteRules, method: str, url_rule: Any, view: Any) -> tuple[RouteRule, ...]:
    """The rules of Flask's `url_rule` for `method`, one for each action. A rule may name a view, or a view's class."""
    found = rules.for_route(method, url_rule.rule, names_of(url_rule.endpoint), view)
    owner = getattr(view, "view_class", None)
    if owner is None:
        return found
    had = {rule.action for rule in found}
    return found + tuple(rule for rule in rules.for_route(method, None, (), owner) if rule.action not in had)


def label(request: Any) -> str:
    """How a rule would write the route: method and template."""
    url_rule = request.url_rule
    return f"{request.method} {'?' if url_rule is None else url_rule.rule}"


def facts_of(request: Any, path: Mapping[str, Any], body: Body, user: User) -> RequestFacts:
    """The facts of a matched request. Flask hands the first of several values of one name to views."""
    return RequestFacts(
        request.method,
        label(request),
        path=path,
        raw_path={name: value for name, value in path.items() if isinstance(value, str)},
        query=tuple(request.args.items(multi=True)),
        headers=tuple((name.lower(), value) for name, value in request.headers.items()),
        user=user,
        body=body,
        pick="first",
    )


def approvals_of(request: Any) -> tuple[str, ...]:
    """The approvals that the request brings. Raises `ApprovalInvalid` for a header that is none."""
    value = request.environ.get("HTTP_SUPERVISOR_APPROVAL")
    return approvals([value]) if value is not None else ()
