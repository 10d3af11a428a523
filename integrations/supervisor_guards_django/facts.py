"""What is known of a request once Django has resolved it: its route, parameters, and facts for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from supervisor_guards.web import Body, RequestFacts, RouteRule, RouteRules, User
from supervisor_guards_django.running import owner_of
from supervisor_guards_django.translated import template_of


class Place(msgspec.Struct, frozen=True):
    """The route that Django's resolver chose, and the parameters as the view gets them."""

    template: str | None
    names: tuple[str, ...]
    view: Any
    path: Mapping[str, Any]


def place_of(request: Any, view: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Place:
    """Where in the URLconf `request` is. `args` and `kwargs` are the view's; the resolver's where they aren't given."""
    match = request.resolver_match
    if match is None:
        return Place(None, (), view, dict(kwargs or {}))
    path = parameters(args or match.args, match.kwargs if kwargs is None else kwargs)
    return Place(template_of(request, match.route), names_of(match), view, path)


def parameters(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The route's parameters by name; unnamed groups by their number."""
    return {**{str(index): value for index, value in enumerate(args)}, **kwargs}


def names_of(match: Any) -> tuple[str, ...]:
    """The names a rule may use: the URL name behind the instance's and the application's namespace, the view's path."""
    found = [match._func_path]
    if match.url_name is not None:
        found = [match.view_name, ":".join([*match.app_names, match.url_name]), *found]
    return tuple(dict.fromkeys(found))


def rules_for(rules: RouteRules, method: str, place: Place) -> tuple[RouteRule, ...]:
    """The rules of a place for `method`, one for each action. A rule may name a function, or a view's class."""
    found = rules.for_route(method, place.template, place.names, place.view)
    owner = owner_of(place.view)
    if owner is None:
        return found
    had = {rule.action for rule in found}
    return found + tuple(rule for rule in rules.for_route(method, None, (), owner) if rule.action not in had)


def method_of(request: Any) -> str:
    """The request's method, upper-case; Django gives it so."""
    return str(request.method or "").upper()


def label(request: Any, template: str | None) -> str:
    """How a rule would write the route: method and template."""
    return f"{method_of(request)} {template or '?'}"


def facts_of(request: Any, place: Place, body: Body, user: User) -> RequestFacts:
    """The facts of a resolved request. Django hands the last of several values of one name to views."""
    query = request.GET
    return RequestFacts(
        method_of(request),
        label(request, place.template),
        path=place.path,
        raw_path={name: value for name, value in place.path.items() if isinstance(value, str)},
        query=tuple((name, value) for name, values in query.lists() for value in values),
        headers=tuple((name.lower(), value) for name, value in request.headers.items()),
        user=user,
        body=body,
        pick="last",
    )
