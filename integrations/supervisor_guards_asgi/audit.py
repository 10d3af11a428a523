"""Every route of an application, with the actions that guard it: for the start, for CI, and for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from starlette.endpoints import HTTPEndpoint
from starlette.routing import Host, Mount, Router, WebSocketRoute

from supervisor_guards.web import Coverage, RouteInfo, RouteRule, RouteRules, exempt_reason, location_of
from supervisor_guards.web import audit as lay_over
from supervisor_guards_asgi.facts import WEBSOCKET
from supervisor_guards_asgi.ownguards import VERBS, dependency_actions, endpoint_actions, layer_actions, own_modes
from supervisor_guards_asgi.routing import enter, is_included

MAX_ROUTES = 10_000
"""Routers may mount each other in ways that make endless lists."""


def list_routes(app: Any) -> list[RouteInfo]:
    """The routes of `app` in their order, full templates as declared; at most `MAX_ROUTES`."""
    found: list[RouteInfo] = []
    for info in _Walk().application(app, "", (), ()):
        found.append(info)
        if len(found) == MAX_ROUTES:
            break
    return found


def audit(app: Any, rules: RouteRules | Iterable[RouteRule | Mapping[str, Any]] | None = None) -> Coverage:
    """Which routes of `app` are guarded, by which actions, and which guards can't take effect.

    `rules` are by default those of the `SupervisorMiddleware` around or in `app`. Raises `ConfigurationError` for
    rules that are wrong in themselves.
    """
    if rules is None:
        rules = rules_around(app)
    elif not isinstance(rules, RouteRules):
        rules = RouteRules(rules)
    return lay_over(list_routes(app), rules)


def check(app: Any, rules: RouteRules) -> tuple[list[str], list[str]]:
    """What is wrong with `rules`, and with guards in the files of this application's endpoints: they never run."""
    routes = list_routes(app)
    coverage = lay_over(routes, rules)
    files = {route.endpoint_location.rpartition(":")[0] for route in routes if route.endpoint_location}
    count = len(coverage.rules_without_route) if len(routes) < MAX_ROUTES else 0
    rule_problems = list(coverage.problems[: len(coverage.rules_without_route)])[:count]
    others = coverage.problems[len(coverage.rules_without_route) :]
    here = [one.location.rpartition(":")[0] in files for one in coverage.ineffective]
    return rule_problems, [text for text, ours in zip(others, here, strict=True) if ours]


def rules_of_endpoint(rules: RouteRules, app: Any, endpoint: Any, method: str) -> tuple[RouteRule, ...]:
    """The rules of every route whose endpoint is `endpoint`."""
    found: dict[str, RouteRule] = {}
    for route in list_routes(app):
        if route.endpoint is endpoint:
            for rule in rules.of(route):
                if rule.covers(method) or method == WEBSOCKET:
                    found.setdefault(rule.action, rule)
    return tuple(found.values())


def rules_around(app: Any) -> RouteRules:
    """The rules of the middleware: one of the layers, or among those that Starlette has yet to build."""
    for layer in enter(app).layers:
        rules = getattr(layer, "rules", None)
        if isinstance(rules, RouteRules):
            return rules
        for one in getattr(layer, "user_middleware", ()):
            if getattr(one.cls, "__name__", "") == "SupervisorMiddleware":
                return RouteRules(one.kwargs.get("rules", ()))
    return RouteRules()


class _Walk:
    """One walk over all routes. A router that is already being walked is not entered again."""

    def __init__(self) -> None:
        self._inside: list[int] = []

    def application(
        self, app: Any, prefix: str, names: tuple[str, ...], guards: tuple[Any, ...]
    ) -> Iterator[RouteInfo]:
        entered = enter(app)
        guards = (*guards, *entered.layers)
        router = entered.router
        if router is None:
            yield _info(None, prefix or "/", names, app, guards, opaque=True)
        elif id(router) not in self._inside:
            self._inside.append(id(router))
            yield from self._routes(router.routes, prefix, names, guards)
            if getattr(router.default, "__func__", None) is not Router.not_found:
                yield _info(None, prefix or "/", names, router.default, guards, opaque=True)
            self._inside.pop()

    def _routes(
        self, routes: Iterable[Any], prefix: str, names: tuple[str, ...], guards: tuple[Any, ...]
    ) -> Iterator[RouteInfo]:
        for route in routes:
            if is_included(route):
                effective: Callable[[], Iterable[Any]] = route.effective_route_contexts
                yield from self._routes([one.starlette_route or one for one in effective()], prefix, names, guards)
            elif isinstance(route, (Mount, Host)):
                path = route.path if isinstance(route, Mount) else ""
                inner = (*names, route.name) if route.name else names
                yield from self.application(route.app, prefix + path, inner, guards)
            else:
                yield _leaf(route, prefix, names, guards)


def _leaf(route: Any, prefix: str, names: tuple[str, ...], guards: tuple[Any, ...]) -> RouteInfo:
    path, endpoint = getattr(route, "path", None), getattr(route, "endpoint", None)
    if endpoint is None or not isinstance(path, str):
        return _info(None, None if path is None else prefix + str(path), names, route, guards, opaque=True)
    methods = getattr(route, "methods", None)
    if isinstance(route, WebSocketRoute):
        methods = {"GET", WEBSOCKET}
    elif not methods and isinstance(endpoint, type) and issubclass(endpoint, HTTPEndpoint):
        methods = {verb.upper() for verb in VERBS if getattr(endpoint, verb, None) is not None}
    name = getattr(route, "name", None)
    own = (*endpoint_actions(endpoint, None), *dependency_actions(route, None))
    layers = (*guards, getattr(route, "app", None))
    return _info(methods, prefix + path, (*names, name) if name else (), endpoint, layers, own=own, route=route)


def _info(
    methods: Iterable[str] | None,
    template: str | None,
    names: tuple[str, ...],
    endpoint: Any,
    layers: tuple[Any, ...],
    *,
    own: tuple[str, ...] = (),
    route: Any = None,
    opaque: bool = False,
) -> RouteInfo:
    guarding = [action for layer in layers for action in layer_actions(layer, None)]
    return RouteInfo(
        frozenset(methods) if methods else None,
        template,
        names=(":".join(names),) if names else (),
        endpoint_location=location_of(endpoint),
        actions=tuple(dict.fromkeys((*guarding, *own))),
        exempt_reason=exempt_reason(endpoint),
        opaque=opaque,
        endpoint=endpoint,
        modes=own_modes(endpoint, layers, route),
    )
