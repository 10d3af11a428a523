"""What the rules say about each route, worked out once: most requests are for routes that no rule is meant for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from supervisor_guards.web import RouteRule, WebSettings
from supervisor_guards_django.facts import Place, names_of, parameters, rules_for
from supervisor_guards_django.own import own_actions
from supervisor_guards_django.running import will_run
from supervisor_guards_django.translated import template_of

MAX_KNOWN = 10_000
"""Methods are the client's to choose, so there is no end of them."""


class Route(msgspec.Struct, frozen=True):
    """A route that rules are meant for: `rules` are ours to ask, `delegated` actions the view asks about itself.

    With a `problem` it can't be told whether there are any.
    """

    view: Any
    template: str | None = None
    names: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    delegated: frozenset[str] = frozenset()
    rules: tuple[RouteRule, ...] = ()
    problem: str | None = None

    def place(self, request: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Place:
        """The route with a request's parameters."""
        return Place(self.template, self.names, self.view, parameters(args, kwargs))


class KnownRoutes:
    """Routes by what Django's resolver says of them; forgotten when the settings change."""

    def __init__(self) -> None:
        self._found: tuple[WebSettings | None, dict[Any, tuple[Any, Route | None]]] = (None, {})

    def find(self, settings: WebSettings, request: Any, view: Any) -> Route | None:
        """The route of a resolved request; None where nothing is to be asked."""
        of, found = self._found
        if of is not settings:
            found = {}
            self._found = settings, found
        match = request.resolver_match
        key = (id(view), request.method, match.route, match.view_name)
        known = found.get(key)
        if known is None:
            # The view is kept with it: another may not get its id.
            known = view, _look(settings, request, match, view)
            if len(found) < MAX_KNOWN and (known[1] is None or known[1].problem is None):
                found[key] = known
        return known[1]


def _look(settings: WebSettings, request: Any, match: Any, view: Any) -> Route | None:
    try:
        return _read(settings, request, match, view)
    except Exception as error:
        return Route(view, problem=f"{type(error).__name__} while looking for its rules: {error}")


def _read(settings: WebSettings, request: Any, match: Any, view: Any) -> Route | None:
    if match.func is not view:
        return Route(view, problem="request.resolver_match is not the view's")
    method = str(request.method or "").upper()
    place = Place(template_of(request, match.route), names_of(match), view, {})
    rules = rules_for(settings.rules, method, place) if len(settings.rules) else ()
    if not rules and settings.rules_lost:
        return Route(view, problem="rules can't be read: " + "; ".join(settings.rules_lost))
    if not rules or not will_run(view, method):
        return None
    actions = tuple(rule.action for rule in rules)
    delegated = frozenset(actions) & own_actions(view, method)
    own = tuple(rule for rule in rules if rule.action not in delegated)
    return Route(view, place.template, place.names, actions, delegated, own)
