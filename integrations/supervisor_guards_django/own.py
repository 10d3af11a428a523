"""Which actions a view asks about by itself: its decorator's rule stands before that of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from supervisor_guards.web import RouteRule, layers
from supervisor_guards_django.running import is_known, owner_of

MARK = "__supervisor_guards_rules__"
"""Under this name a guarded view, method or class carries its rules; Django's decorators copy it along."""


BY_ACTION = "__supervisor_guards_by_action__"
"""The same for rules that a class has by the name of its handler."""


def names_of_handler(verb: str, actions: Mapping[str, str]) -> tuple[str, ...]:
    """What the handler of a method may be called: a view set's action, and the method itself, lower-case."""
    own = actions.get(verb) or (actions.get("get") if verb == "head" else None)
    # What Django REST framework's own partial_update does is call update.
    names = (own, "update" if own == "partial_update" else None, verb, "get" if verb == "head" else None)
    return tuple(name for name in names if name is not None)


def own_actions(view: Any, method: str | None) -> frozenset[str]:
    """The actions that `view` itself asks about when `method` is called (None: by any method, or looks on at).

    Those that rules of the settings leave to it: not what it only puts in shadow for itself.
    """
    found = _rules(view, method)
    return frozenset(rule.action for rule in found if method is None or (rule.covers(method) and not observes(rule)))


def observes(rule: RouteRule) -> bool:
    """Whether a guard only looks on, by its own rule."""
    return "shadow" in (rule.mode, rule.on_review)


def marked(found: Any, rule: RouteRule) -> tuple[RouteRule, ...]:
    """The rules of `found`, and `rule`."""
    return (*getattr(found, MARK, ()), rule)


def _rules(view: Any, method: str | None) -> Iterator[RouteRule]:
    for one in layers(view):
        yield from getattr(one, MARK, ())
    owner = owner_of(view)
    if owner is None:
        return
    dispatch = getattr(owner, "dispatch", None)
    yield from getattr(dispatch, MARK, ())
    if method is not None and not is_known(dispatch):
        return  # what a dispatch of the project's own calls, of mixins and handlers, isn't known
    yield from getattr(owner, MARK, ())
    for permission in _permissions(view, owner):
        yield from getattr(permission, MARK, ())
    actions = getattr(view, "actions", None) or {}
    by_action = getattr(owner, BY_ACTION, {})
    verbs = [method.lower()] if method is not None else list(getattr(owner, "http_method_names", ()))
    for verb in verbs:
        for name in names_of_handler(verb, actions):
            if name in by_action:
                yield by_action[name]
                break
    for verb in verbs:
        handler = getattr(owner, actions.get(verb, verb), None)
        if handler is None and verb == "head":
            handler = getattr(owner, actions.get("get", "get"), None)
        yield from getattr(handler, MARK, ())


def _permissions(view: Any, owner: Any) -> Iterable[Any]:
    """The permission classes that Django REST framework will ask; none where the project chooses them as it runs."""
    if getattr(getattr(owner, "get_permissions", None), "__module__", "rest_framework.views") != "rest_framework.views":
        return ()
    given = getattr(view, "initkwargs", None) or getattr(view, "view_initkwargs", None) or {}
    chosen: Iterable[Any] = given.get("permission_classes", getattr(owner, "permission_classes", ()))
    return chosen
