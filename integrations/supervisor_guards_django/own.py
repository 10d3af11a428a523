"""Which actions a view asks about by itself: its decorator's rule stands before that of the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from supervisor_guards.web import RouteRule, layers
from supervisor_guards_django.facts import owner_of

MARK = "__supervisor_guards_rules__"
"""Under this name a guarded view, method or class carries its rules; Django's decorators copy it along."""


def own_actions(view: Any, method: str | None) -> frozenset[str]:
    """The actions that `view` itself asks about when `method` is called (None: by any method)."""
    return frozenset(rule.action for rule in _rules(view, method) if method is None or rule.covers(method))


def marked(found: Any, rule: RouteRule) -> tuple[RouteRule, ...]:
    """The rules of `found`, and `rule`."""
    return (*getattr(found, MARK, ()), rule)


def _rules(view: Any, method: str | None) -> Iterator[RouteRule]:
    for one in layers(view):
        yield from getattr(one, MARK, ())
    owner = owner_of(view)
    if owner is None:
        return
    yield from getattr(owner, MARK, ())
    yield from getattr(getattr(owner, "dispatch", None), MARK, ())
    actions = getattr(view, "actions", None) or {}
    verbs = [method.lower()] if method is not None else list(getattr(owner, "http_method_names", ()))
    for verb in verbs:
        handler = getattr(owner, actions.get(verb, verb), None)
        if handler is None and verb == "head":
            handler = getattr(owner, actions.get("get", "get"), None)
        yield from getattr(handler, MARK, ())
