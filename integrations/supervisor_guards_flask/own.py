"""Which actions a view asks about by itself: its decorator's rule stands before that of the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask.views import MethodView

from supervisor_guards.web import RouteRule, layers

MARK = "__supervisor_guards_rules__"
"""Under this name a guarded view or method carries its rules; decorators that keep `__dict__` copy it along."""


def marked(found: Any, rule: RouteRule) -> tuple[RouteRule, ...]:
    """The rules of `found`, and `rule`."""
    return (*getattr(found, MARK, ()), rule)


def own_rules(view: Any, method: str | None) -> tuple[RouteRule, ...]:
    """The rules by which `view` itself asks when `method` is called (None: by any method)."""
    found = {id(rule): rule for rule in _rules(view, method) if method is None or rule.covers(method)}
    return tuple(found.values())


def own_actions(view: Any, method: str) -> frozenset[str]:
    """The actions that rules of the settings leave to `view`; not those that it only puts in shadow for itself."""
    return frozenset(rule.action for rule in own_rules(view, method) if "shadow" not in (rule.mode, rule.on_review))


def _rules(view: Any, method: str | None) -> Iterator[RouteRule]:
    for one in layers(view):
        yield from getattr(one, MARK, ())
    owner = getattr(view, "view_class", None)
    if owner is None:
        return
    dispatch = getattr(owner, "dispatch_request", None)
    yield from getattr(dispatch, MARK, ())
    if not issubclass(owner, MethodView) or layers(dispatch)[-1] is not MethodView.dispatch_request:
        return  # which of its methods a dispatch of its own calls isn't known
    for verb in sorted(owner.methods or ()) if method is None else [method]:
        handler = getattr(owner, verb.lower(), None)
        if handler is None and verb == "HEAD":
            handler = getattr(owner, "get", None)
        for one in layers(handler):
            yield from getattr(one, MARK, ())
