"""What `supervisor-guards routes` asks of an ASGI application: it is read, never called or started."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from supervisor_guards import Guard
from supervisor_guards.web import Inspection
from supervisor_guards_asgi.audit import list_routes, rules_around
from supervisor_guards_asgi.routing import enter

_PARAMETERS = 3  # scope, receive, send


def inspect_app(app: Any) -> Inspection | None:
    """The routes of `app`, the rules of the middleware around or in it, and its guard's settings.

    None where `app` is no ASGI application. Raises `ConfigurationError` for rules that are wrong in themselves.
    """
    if enter(app).router is None and not _is_asgi(app):
        return None
    guard = next(_guards(app), None)
    return Inspection(tuple(list_routes(app)), rules_around(app), None if guard is None else guard.config)


def _guards(app: Any) -> Iterator[Guard]:
    """The guards that layers of `app` were given, also those that Starlette has yet to build."""
    for layer in enter(app).layers:
        built = getattr(layer, "own_guard", None)
        if isinstance(built, Guard):
            yield built
        for one in getattr(layer, "user_middleware", ()):
            given = one.kwargs.get("guard")
            if isinstance(given, Guard):
                yield given


def _is_asgi(app: Any) -> bool:
    """Whether `app` has the shape of an ASGI application, an object or a function."""
    if isinstance(app, type) or not callable(app):
        return False
    call = app if inspect.isroutine(app) else type(app).__call__
    if not inspect.iscoroutinefunction(call):
        return False
    try:
        return len(inspect.signature(app).parameters) == _PARAMETERS
    except ValueError:
        return False
