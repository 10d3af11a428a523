"""Every route of a project, with the actions that guard it: for the system checks, for CI, and for people."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import LocalePrefixPattern

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
from supervisor_guards_django.facts import owner_of, template_of
from supervisor_guards_django.own import MARK, own_actions

MAX_ROUTES = 10_000
"""URLconfs may include each other without end."""


def list_routes(urlconf: str | None = None) -> list[RouteInfo]:
    """The routes of `urlconf` in their order, by default the project's; at most `MAX_ROUTES`.

    Templates are those that rules use. The methods of a function view aren't known before it runs, so they are None.
    """
    found: list[RouteInfo] = []
    for info in _walk(get_resolver(urlconf), "", (), ()):
        found.append(info)
        if len(found) == MAX_ROUTES:
            break
    return found


def audit(urlconf: str | None = None, rules: RouteRules | None = None) -> Coverage:
    """Which routes are guarded, by which actions, and which guards can't take effect.

    `rules` are by default those of the settings.
    """
    routes = list_routes(urlconf)
    found = conf.current().rules if rules is None else rules
    return lay_over(routes, found, _lost(routes))


def _walk(
    resolver: Any, prefix: str, namespaces: tuple[str, ...], apps: tuple[str, ...], depth: int = 0
) -> Iterator[RouteInfo]:
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver) and depth < 50:
            # Which language comes first is the request's matter: the resolver leaves it out of the route too.
            text = "" if isinstance(one.pattern, LocalePrefixPattern) else str(one.pattern)
            inner = (*namespaces, one.namespace) if one.namespace else namespaces
            inner_apps = (*apps, one.app_name) if one.app_name else apps
            yield from _walk(one, _joined(prefix, text), inner, inner_apps, depth + 1)
        elif isinstance(one, URLPattern):
            yield _leaf(one, _joined(prefix, str(one.pattern)), namespaces, apps)


def _leaf(pattern: URLPattern, route: str, namespaces: tuple[str, ...], apps: tuple[str, ...]) -> RouteInfo:
    view = pattern.callback
    names = [str(pattern.lookup_str)]
    if pattern.name:
        names = [":".join([*namespaces, pattern.name]), ":".join([*apps, pattern.name]), *names]
    owner = owner_of(view)
    return RouteInfo(
        _methods(view, owner),
        template_of(route),
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


def _joined(first: str, second: str) -> str:
    """As Django's resolver joins the routes of includes."""
    return first + second.removeprefix("^") if first else second


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
