"""Every route of a project, with the actions that guard it: for the system checks, for CI, and for people."""

from __future__ import annotations

import inspect
from typing import Any

from django.urls import URLPattern, get_resolver

from supervisor_guards.web import (
    Coverage,
    RouteInfo,
    RouteRules,
    exempt_reason,
    layers,
    location_of,
    registered,
)
from supervisor_guards.web import audit as lay_over
from supervisor_guards_django import conf
from supervisor_guards_django.own import MARK, own_actions
from supervisor_guards_django.running import owner_of
from supervisor_guards_django.translated import patterns, written


def list_routes(urlconf: str | None = None) -> list[RouteInfo]:
    """The routes of `urlconf` in their order, by default the project's; at most `translated.MAX_ROUTES`.

    Templates, in the project's language, are those that rules use. The methods of a function view aren't known
    before it runs, so they are None.
    """
    return [_leaf(*found) for found in patterns(get_resolver(urlconf))]


def audit(urlconf: str | None = None, rules: RouteRules | None = None) -> Coverage:
    """Which routes are guarded, by which actions, and which guards can't take effect.

    `rules` are by default those of the settings.
    """
    routes = list_routes(urlconf)
    found = conf.current().rules if rules is None else rules
    return lay_over(routes, found, _lost(routes))


def _leaf(pattern: URLPattern, route: str, namespaces: tuple[str, ...], apps: tuple[str, ...]) -> RouteInfo:
    view = pattern.callback
    names = [str(pattern.lookup_str)]
    if pattern.name:
        names = [":".join([*namespaces, pattern.name]), ":".join([*apps, pattern.name]), *names]
    owner = owner_of(view)
    return RouteInfo(
        _methods(view, owner),
        written(route),
        names=tuple(dict.fromkeys(names)),
        endpoint_location=location_of(view) if owner is None else _written(owner),
        actions=tuple(sorted(own_actions(view, None))),
        exempt_reason=exempt_reason(view) or exempt_reason(owner),
        endpoint=view,
    )


def _written(owner: type) -> str:
    """Where a view's class is written: its first method of its own, as `dispatch` is mostly a framework's."""
    return next((location_of(one) for one in vars(owner).values() if inspect.isfunction(one)), "")


def _methods(view: Any, owner: Any) -> frozenset[str] | None:
    actions = getattr(view, "actions", None)
    if actions:
        return frozenset(verb.upper() for verb in actions)
    if owner is None:
        return None
    return frozenset(verb.upper() for verb in owner.http_method_names if verb != "options" and hasattr(owner, verb))


def _lost(routes: list[RouteInfo]) -> list[Any]:
    """Guarded wrappers in the files of this project's views, without the methods of routed classes: those run."""
    files = {route.endpoint_location.rpartition(":")[0] for route in routes if route.endpoint_location}
    inside: set[int] = set()
    for owner in {owner_of(route.endpoint) for route in routes} - {None}:
        for kind in owner.__mro__:
            for value in vars(kind).values():
                inside.update(id(one) for one in layers(value))
    ours = [one for one in registered() if hasattr(one, MARK) and id(one) not in inside]
    return [one for one in ours if location_of(one).rpartition(":")[0] in files]
