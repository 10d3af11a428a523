"""The guards that an endpoint brings along: what the middleware leaves to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.endpoints import HTTPEndpoint

from supervisor_guards.web import actions_of
from supervisor_guards_asgi.routing import Resolution

VERBS = ("get", "head", "post", "put", "patch", "delete", "options", "query")
"""The methods that an `HTTPEndpoint` may have."""
_MAX_LAYERS = 100


def own_actions(resolution: Resolution, method: str) -> frozenset[str]:
    """The actions that the matched endpoint is guarded for by itself when `method` is called."""
    found = set(endpoint_actions(resolution.endpoint, method))
    for layer in resolution.chain:
        found.update(layer_actions(layer, method))
    found.update(dependency_actions(resolution.route, method))
    return frozenset(found)


def endpoint_actions(endpoint: Any, method: str | None) -> tuple[str, ...]:
    """What decorators on the endpoint guard: a function, a class, or a class's method for `method`."""
    found = actions_of(endpoint)
    if isinstance(endpoint, type) and issubclass(endpoint, HTTPEndpoint):
        handlers = [getattr(endpoint, verb, None) for verb in _verbs(endpoint, method)]
        found += tuple(action for one in handlers if one is not None for action in actions_of(one))
    return found


def layer_actions(layer: Any, method: str | None) -> Iterator[str]:
    """What the ASGI layers from `layer` inwards guard."""
    for _ in range(_MAX_LAYERS):
        if layer is None:
            return
        action = _action(layer, method)
        if action is not None:
            yield action
        layer = getattr(layer, "app", None)


def dependency_actions(route: Any, method: str | None) -> Iterator[str]:
    """What the FastAPI dependencies of `route` guard, nested ones included."""
    pending = [getattr(route, "dependant", None)]
    seen = 0
    while pending and seen < 10 * _MAX_LAYERS:
        dependant = pending.pop()
        seen += 1
        action = _action(getattr(dependant, "call", None), method)
        if action is not None:
            yield action
        pending += getattr(dependant, "dependencies", [])


def _action(one: Any, method: str | None) -> str | None:
    """What a `RouteGuard` or a `requires` asks about: both have a method `guarded_action(method)`."""
    ask = getattr(one, "guarded_action", None)
    return ask(method) if ask is not None and not isinstance(one, type) else None


def _verbs(endpoint: type[HTTPEndpoint], method: str | None) -> tuple[str, ...]:
    if method is None:
        return VERBS
    return ("get",) if method == "HEAD" and not hasattr(endpoint, "head") else (method.lower(),)
