"""The guards that an endpoint brings along: what the middleware leaves to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.endpoints import HTTPEndpoint

from supervisor_guards.web import RouteRule, actions_of, modes_of
from supervisor_guards_asgi.routing import Resolution

VERBS = ("get", "head", "post", "put", "patch", "delete", "options", "query")
"""The methods that an `HTTPEndpoint` may have."""
_MAX_LAYERS = 100


def own_actions(resolution: Resolution, method: str) -> frozenset[str]:
    """The actions that the matched endpoint is guarded for by itself when `method` is called.

    A guard that is put in shadow where it stands only looks on, so nothing is left to it.
    """
    found = set(endpoint_actions(resolution.endpoint, method, observed=False))
    for layer in resolution.chain:
        found.update(layer_actions(layer, method, observed=False))
    found.update(dependency_actions(resolution.route, method, observed=False))
    return frozenset(found)


def endpoint_actions(endpoint: Any, method: str | None, *, observed: bool = True) -> tuple[str, ...]:
    """What decorators on the endpoint guard: a function, a class, or a class's method for `method`."""
    found = actions_of(endpoint, observed=observed)
    if isinstance(endpoint, type) and issubclass(endpoint, HTTPEndpoint):
        handlers = [getattr(endpoint, verb, None) for verb in _verbs(endpoint, method)]
        found += tuple(action for one in handlers if one is not None for action in actions_of(one, observed=observed))
    return found


def layer_actions(layer: Any, method: str | None, *, observed: bool = True) -> Iterator[str]:
    """What the ASGI layers from `layer` inwards guard."""
    for one in _inwards(layer):
        action = _action(one, method, observed)
        if action is not None:
            yield action


def dependency_actions(route: Any, method: str | None, *, observed: bool = True) -> Iterator[str]:
    """What the FastAPI dependencies of `route` guard, nested ones included."""
    for one in _dependencies(route):
        action = _action(one, method, observed)
        if action is not None:
            yield action


def own_modes(endpoint: Any, layers: Iterable[Any], route: Any) -> dict[str, str]:
    """The modes that an endpoint's own guards set, by action."""
    found = modes_of(endpoint)
    if isinstance(endpoint, type) and issubclass(endpoint, HTTPEndpoint):
        for verb in VERBS:
            found.update(modes_of(getattr(endpoint, verb, None)))
    around = [one for layer in layers for one in _inwards(layer)]
    for one in (*around, *_dependencies(route)):
        mode = mode_of(one.rule) if _action(one, None, observed=True) is not None else None
        found.update({one.rule.action: mode} if mode is not None else {})
    return found


def mode_of(rule: RouteRule) -> str | None:
    """The mode that a guard's rule sets; `on_review="shadow"` puts the whole call in shadow."""
    return "shadow" if rule.on_review == "shadow" else rule.mode


def _inwards(layer: Any) -> Iterator[Any]:
    for _ in range(_MAX_LAYERS):
        if layer is None:
            return
        yield layer
        layer = getattr(layer, "app", None)


def _dependencies(route: Any) -> Iterator[Any]:
    pending = [getattr(route, "dependant", None)]
    seen = 0
    while pending and seen < 10 * _MAX_LAYERS:
        dependant = pending.pop()
        seen += 1
        yield getattr(dependant, "call", None)
        pending += getattr(dependant, "dependencies", [])


def _action(one: Any, method: str | None, observed: bool) -> str | None:
    """What a `RouteGuard` or a `requires` asks about: both have a `rule`, and a method `guarded_action(method)`."""
    ask = getattr(one, "guarded_action", None)
    if ask is None or isinstance(one, type) or (mode_of(one.rule) == "shadow" and not observed):
        return None
    return ask(method)  # type: ignore[no-any-return]


def _verbs(endpoint: type[HTTPEndpoint], method: str | None) -> tuple[str, ...]:
    if method is None:
        return VERBS
    return ("get",) if method == "HEAD" and not hasattr(endpoint, "head") else (method.lower(),)
