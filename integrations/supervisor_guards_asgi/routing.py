"""Which endpoint a request will reach: the application's own router is asked, on a copy of the scope.

Nothing is matched here by a pattern of ours. What can't be known is said, and never taken for "no route".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
from starlette._utils import get_route_path
from starlette.endpoints import HTTPEndpoint
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute

Outcome = Literal["matched", "nothing", "unknown"]
_MAX_LAYERS = 100
_FASTAPI = "fastapi"
_DISPATCHING = ("__init__", "__await__", "dispatch", "method_not_allowed")


class Resolution(msgspec.Struct, frozen=True):
    """What the router will do with a request.

    `outcome` is `matched` (`endpoint` will run), `nothing` (404, 405, a redirect: no endpoint runs) or `unknown`
    (`reason` says why it can't be told). `template` is the full path as declared, prefixes included; `names` the
    route's name with the names of its mounts. `path` has the converted parameters. `opaque` marks what can't be
    looked into: another application, whose `template` is the prefix it is mounted at. `chain` are the
    applications wrapped around the endpoint, from the outside in; `route` is the one that was chosen.
    """

    outcome: Outcome
    template: str | None = None
    names: tuple[str, ...] = ()
    endpoint: Any = None
    route: Any = None
    path: Mapping[str, Any] = {}
    opaque: bool = False
    reason: str = ""
    chain: tuple[Any, ...] = ()
    patterns: tuple[tuple[Any, str], ...] = ()

    def raw_path(self) -> dict[str, str]:
        """The parameters as the texts they were converted from."""
        found: dict[str, str] = {}
        for regex, route_path in self.patterns:
            match = regex.match(route_path)
            found.update(match.groupdict() if match else {})
        return found


class Entered(NamedTuple):
    """The router inside an application, None where there is none to be seen."""

    router: Router | None
    layers: list[Any]
    root_path: str | None
    """What the application puts in the scope before its router looks (`FastAPI(root_path=...)`)."""


def enter(app: Any) -> Entered:
    """Walk `.app` from `app` inwards until something is, or has, a router."""
    found: list[Any] = []
    while len(found) < _MAX_LAYERS:
        if isinstance(app, Router):
            return Entered(app, found, None)
        found.append(app)
        router = getattr(app, "router", None)
        if isinstance(router, Router):
            root_path = getattr(app, "root_path", None)
            return Entered(router, found, root_path if isinstance(root_path, str) and root_path else None)
        app = getattr(app, "app", None)
        if not callable(app):
            break
    return Entered(None, found, None)


def resolve(app: Any, scope: Mapping[str, Any], entered: Entered | None = None) -> Resolution:
    """What `app` will do with the request of `scope`, an http or websocket one. `scope` stays as it is.

    `entered` is what `enter(app)` answered before, where that can't have changed.
    """
    try:
        return _Descent(scope).run(app, entered)
    except Exception as error:  # a convertor or a route of the application's own that fails to match
        return Resolution("unknown", reason=f"matching raised {type(error).__name__}")


class _Descent:
    """One walk down the routers, on one copy of the scope. At each level the first match is taken, as they do."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope: dict[str, Any] = dict(scope)
        if isinstance(scope.get(_FASTAPI), dict):
            self.scope[_FASTAPI] = dict(scope[_FASTAPI])
        self.prefix = ""
        self.names: list[str] = []
        self.chain: list[Any] = []
        self.patterns: list[tuple[Any, str]] = []
        self.seen: set[tuple[int, str]] = set()

    def run(self, app: Any, entered: Entered | None) -> Resolution:
        while True:
            entered = entered or enter(app)
            self.chain += entered.layers
            if entered.root_path is not None:
                self.scope["root_path"] = entered.root_path
            router = entered.router
            if router is None:
                return self._opaque(app)
            place = (id(router), self.scope.get("root_path", ""))
            if place in self.seen:
                return self._ended("unknown", reason="routers mount each other without end")
            self.seen.add(place)
            match, child, route = _first(router.routes, self.scope)
            if route is None:
                return self._unmatched(router)
            while is_included(route):
                self.scope.update(child)
                match, child, route = _inside(route, self.scope)
            if match is Match.FULL and isinstance(route, (Mount, Host)):
                self._pass(route)
                self.scope.update(child)
                app, entered = route.app, None
                continue
            return self._leaf(match, child, route)

    def _pass(self, route: Mount | Host) -> None:
        if isinstance(route, Mount):
            self.patterns.append((route.path_regex, get_route_path(self.scope)))
            self.prefix += route.path
        if route.name:
            self.names.append(route.name)

    def _leaf(self, match: Match, child: Mapping[str, Any], route: Any) -> Resolution:
        path, endpoint = getattr(route, "path", None), getattr(route, "endpoint", None)
        known = isinstance(route, (Route, WebSocketRoute)) or is_context(route)
        if not known and not (isinstance(path, str) and callable(endpoint)):
            return self._ended("unknown", reason=f"a route of type {type(route).__name__}")
        if match is not Match.FULL:
            if isinstance(route, Route) and not _is_plain(route):
                return self._ended("unknown", reason=f"{type(route).__name__} handles other methods by itself")
            return self._ended("nothing", endpoint=endpoint, route=route)
        if self.scope["type"] == "http" and not has_handler(endpoint, self.scope["method"]):
            return self._ended("nothing", endpoint=endpoint, route=route)
        regex = getattr(route, "path_regex", None)
        if regex is not None:
            self.patterns.append((regex, get_route_path(self.scope)))
        self.chain.append(getattr(route, "app", None))
        names = (":".join((*self.names, route.name)),) if getattr(route, "name", None) else ()
        return self._ended(
            "matched",
            template=self.prefix + (path or ""),
            names=names,
            endpoint=endpoint,
            route=route,
            path=child.get("path_params", {}),
        )

    def _unmatched(self, router: Router) -> Resolution:
        if _redirects(router, self.scope):
            return self._ended("nothing")
        low_priority = getattr(router, "_match_low_priority", None)
        if low_priority is not None:  # FastAPI's folders of frontend files
            match, _, route, context = low_priority(self.scope)
            if match is Match.FULL:
                return self._opaque(route or context)
            if match is Match.PARTIAL:
                return self._ended("nothing")
        if getattr(router.default, "__func__", None) is Router.not_found:
            return self._ended("nothing")
        return self._opaque(router.default)

    def _opaque(self, app: Any) -> Resolution:
        names = (":".join(self.names),) if self.names else ()
        return self._ended("matched", endpoint=app, template=self.prefix or "/", names=names, opaque=True)

    def _ended(self, outcome: Outcome, *, path: Mapping[str, Any] | None = None, **fields: Any) -> Resolution:
        return Resolution(
            outcome,
            path=self.scope.get("path_params", {}) if path is None else path,
            chain=tuple(self.chain),
            patterns=tuple(self.patterns),
            **fields,
        )


def _first(routes: Any, scope: dict[str, Any]) -> tuple[Match, Mapping[str, Any], BaseRoute | None]:
    """The first full match, else the first partial one: the rule of every Starlette router."""
    partial: tuple[Match, Mapping[str, Any], BaseRoute | None] = (Match.NONE, {}, None)
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            return match, child, route
        if match is Match.PARTIAL and partial[2] is None:
            partial = (match, child, route)
    return partial


def _inside(included: Any, scope: dict[str, Any]) -> tuple[Match, Mapping[str, Any], Any]:
    """What a router that FastAPI included lazily (0.137 and later) will choose: the route with its full path."""
    match, child, route, context = included._match(scope)
    if context is not None:
        route = context.starlette_route or context
    return match, child, route


def is_included(route: Any) -> bool:
    """Whether `route` stands for a router that FastAPI included lazily."""
    return hasattr(route, "original_router") and callable(getattr(route, "_match", None))


def is_context(route: Any) -> bool:
    """Whether `route` is FastAPI's effective context: a path operation under the prefix of one inclusion."""
    return isinstance(getattr(route, "original_route", None), Route)


def _is_plain(route: Route) -> bool:
    """Whether a method that the route doesn't have is answered with 405 and nothing else."""
    return type(route).handle is Route.handle or type(route).handle.__module__.partition(".")[0] == _FASTAPI


def has_handler(endpoint: Any, method: str) -> bool:
    """Whether `endpoint` would run for `method`: a class with one method for each verb answers 405 itself."""
    if not isinstance(endpoint, type) or not issubclass(endpoint, HTTPEndpoint):
        return True
    if any(getattr(endpoint, name) is not getattr(HTTPEndpoint, name) for name in _DISPATCHING):
        return True
    names = ("head", "get") if method.upper() == "HEAD" else (method.lower(),)
    return any(getattr(endpoint, name, None) is not None for name in names)


def _redirects(router: Router, scope: dict[str, Any]) -> bool:
    """Whether the router answers with a redirect to the path with, or without, a slash at its end."""
    route_path = get_route_path(scope)
    if scope["type"] != "http" or not router.redirect_slashes or route_path == "/":
        return False
    path = scope["path"]
    other = {**scope, "path": path.rstrip("/") if route_path.endswith("/") else path + "/"}
    return any(route.matches(other)[0] is not Match.NONE for route in router.routes)
