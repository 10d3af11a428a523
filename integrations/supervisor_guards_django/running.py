"""Whether a view runs code of the project for a method. Where that can't be told, it does.

A 405 and an automatic OPTIONS are no action, so nothing is asked about them. But classes may steer their own
dispatch, and decorators change the method; only what Django and its frameworks wrote themselves is taken at its word.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

from supervisor_guards.web import layers

_KNOWN = frozenset({"django", "rest_framework", "ninja", "supervisor_guards_django"})
_AS_VIEW = ("django.views.generic.base", "rest_framework.viewsets")
_STEERING = (
    "__init__", "__getattr__", "__getattribute__", "setup", "dispatch", "http_method_not_allowed",
    "initialize_request", "initial",
)  # fmt: skip
"""What decides which handler of a class-based view runs, of Django or of Django REST framework."""


def owner_of(view: Any) -> Any:
    """The class of a class-based view, of Django or of Django REST framework; None for functions."""
    return getattr(view, "view_class", None) or getattr(view, "cls", None)


def will_run(view: Any, method: str) -> bool:
    """Whether `view`, as a URLconf has it, runs code of the project for `method`."""
    for one in layers(view):
        if not _written_by_frameworks(one):
            return True
        inside = _closure(one)
        if method not in inside.get("request_method_list", (method,)):  # Django's require_http_methods
            return False
        operations = getattr(inside.get("self"), "operations", None)
        if operations is not None:  # of django-ninja
            return any(method in operation.methods for operation in operations)
        owner = owner_of(one)
        if owner is not None and one.__globals__["__name__"] in _AS_VIEW:
            given = getattr(one, "view_initkwargs", None) or getattr(one, "initkwargs", None) or {}
            allowed = given.get("http_method_names", getattr(owner, "http_method_names", ()))
            return handles(owner, method, allowed, getattr(one, "actions", None))
    return True


def handles(owner: Any, method: str, allowed: Collection[str], actions: Mapping[str, str] | None = None) -> bool:
    """The same for the class or instance of a view; `actions` are those of a view set."""
    kind = owner if isinstance(owner, type) else type(owner)
    return _has_handler(owner, method.lower(), allowed, actions or {}) or any(
        name in vars(one) and not is_known(vars(one)[name])
        for one in kind.__mro__
        if one is not object
        for name in _STEERING
    )


def _has_handler(owner: Any, verb: str, allowed: Collection[str], actions: Mapping[str, str]) -> bool:
    if verb not in allowed:
        return False
    if verb == "options":
        options = getattr(owner, "options", None)
        return options is not None and not is_known(getattr(options, "__func__", options))
    if verb in actions or hasattr(owner, verb):
        return True
    return verb == "head" and ("get" in actions or hasattr(owner, "get"))


def is_known(function: Any) -> bool:
    """Whether a function and all that is around it come from Django and its frameworks."""
    for one in layers(function):
        if not _written_by_frameworks(one):
            return False
        # Django's method_decorator keeps the decorators, and makes their wrappers for each call.
        if not all(_written_by_frameworks(decorator) for decorator in _closure(one).get("decorators", ())):
            return False
    return True


def _written_by_frameworks(function: Any) -> bool:
    """By the module it was written in: `__module__` is what a decorator has copied from the function inside."""
    return inspect.isfunction(function) and str(function.__globals__.get("__name__")).partition(".")[0] in _KNOWN


def _closure(function: Any) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    return {name: cell.cell_contents for name, cell in cells}
