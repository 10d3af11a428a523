"""Every route of an application, with the actions that guard it: for the start, for CI, and for people."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flask import Flask

from supervisor_guards.web import (
    Coverage,
    Inspection,
    RouteInfo,
    RouteRule,
    RouteRules,
    exempt_reason,
    location_of,
)
from supervisor_guards.web import audit as lay_over
from supervisor_guards_flask.application import guarded_of
from supervisor_guards_flask.facts import names_of
from supervisor_guards_flask.own import own_rules


def list_routes(app: Flask) -> list[RouteInfo]:
    """The routes of `app` in the order of Flask's map, and applications that are mounted beside it.

    Templates are those that rules use.
    """
    return [*(_leaf(app, url_rule) for url_rule in app.url_map.iter_rules()), *_mounts(app)]


def audit(app: Flask, rules: RouteRules | Iterable[RouteRule | Mapping[str, Any]] | None = None) -> Coverage:
    """Which routes of `app` are guarded, by which actions, and which guards can't take effect.

    `rules` are by default those of its settings. Raises `ConfigurationError` for rules that are wrong in themselves.
    """
    if rules is None:
        found = guarded_of(app)
        rules = RouteRules() if found is None else found.settings.rules
    elif not isinstance(rules, RouteRules):
        rules = RouteRules(rules)
    return lay_over(list_routes(app), rules)


def inspect_app(app: Any) -> Inspection | None:
    """What `supervisor-guards routes` asks of an application, which is read, never called. None for other things."""
    if not isinstance(app, Flask):
        return None
    found = guarded_of(app)
    rules = RouteRules() if found is None else found.settings.rules
    return Inspection(tuple(list_routes(app)), rules, None if found is None else found.settings.config)


def _leaf(app: Flask, url_rule: Any) -> RouteInfo:
    view = app.view_functions.get(url_rule.endpoint)
    owner = getattr(view, "view_class", None)
    methods = url_rule.methods
    if methods is not None and getattr(url_rule, "provide_automatic_options", False):
        methods = methods - {"OPTIONS"}
    own = own_rules(view, None)
    return RouteInfo(
        None if methods is None else frozenset(methods),
        url_rule.rule,
        names=names_of(url_rule.endpoint),
        endpoint_location=location_of(view) if owner is None else _written(owner),
        actions=tuple(dict.fromkeys(rule.action for rule in own)),
        exempt_reason=_exempt(app, url_rule.endpoint, view),
        opaque=view is None,
        endpoint=view,
        modes={rule.action: rule.mode for rule in own if rule.mode is not None},
    )


def _written(owner: type) -> str:
    """Where a view's class is written: its first method of its own."""
    return next((location_of(one) for one in vars(owner).values() if inspect.isfunction(one)), "")


def _exempt(app: Flask, endpoint: str, view: Any) -> str | None:
    """Why a view, its class or a blueprint around it needs no guard."""
    names, (blueprint, dot, _) = [], endpoint.rpartition(".")
    while dot:
        names.append(blueprint)
        blueprint, dot, _ = blueprint.rpartition(".")
    places = [view, getattr(view, "view_class", None), *(app.blueprints.get(name) for name in names)]
    return next((reason for reason in map(exempt_reason, places) if reason is not None), None)


def _mounts(app: Flask) -> Iterator[RouteInfo]:
    """What Werkzeug's `DispatcherMiddleware` calls instead of `app`: no rule of `app` reaches there."""
    for prefix, other in getattr(app.wsgi_app, "mounts", {}).items():
        yield RouteInfo(None, prefix, names=(getattr(other, "name", type(other).__name__),), opaque=True)
