"""What is wrong with an application's settings, rules and guards, in one place for start, command line and tests."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from flask import Flask

from supervisor_guards.errors import ConfigurationError
from supervisor_guards_flask.application import Guarded
from supervisor_guards_flask.routes import audit

logger = logging.getLogger("supervisor_guards")

_ASKING = "supervisor_guards_ask"
_DISPATCH = ("wsgi_app", "full_dispatch_request", "preprocess_request", "dispatch_request")


class Findings(msgspec.Struct, frozen=True):
    """One sentence each. `problems` are faults; `warnings` are for people to judge."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def check(guarded: Guarded) -> Findings:
    """Look over everything: the settings, the rules beside the routes, policy and store, the order of hooks."""
    problems = [*guarded.settings.problems, *audit(guarded.app).problems]
    try:
        guarded.guard()
    except ConfigurationError as error:
        problems += [one for one in error.problems if one not in problems]
    return Findings(tuple(problems), tuple(_warnings(guarded)))


def look_over(guarded: Guarded) -> None:
    """Log what is wrong with the routes, once the application has them all. Raises nothing."""
    try:
        for problem in audit(guarded.app).problems:
            logger.warning("%s", problem)
    except Exception:
        logger.error("the routes could not be looked over", exc_info=True)


def order_of_hooks(app: Flask) -> list[str]:
    """The names of the application's own `before_request` functions, in the order in which they are called."""
    return [getattr(one, "__name__", type(one).__name__) for one in app.before_request_funcs.get(None, [])]


def _warnings(guarded: Guarded) -> list[str]:
    app = guarded.app
    hooks = order_of_hooks(app)
    found = []
    later = hooks[hooks.index(_ASKING) + 1 :] if _ASKING in hooks else hooks
    if later:
        found.append(
            f"before_request functions that come after the guard: {', '.join(later)}; where one of them "
            "authenticates, call init_app after it is registered"
        )
    for name in _DISPATCH:
        if _is_own(app, name):
            found.append(
                f"{type(app).__name__}.{name} is the application's own: what it calls by itself isn't asked about"
            )
    unguarded = audit(app).unguarded
    if unguarded:
        found.append(f"{len(unguarded)} routes that may change something are unguarded; list them with routes")
    return found


def _is_own(app: Any, name: str) -> bool:
    if name == "wsgi_app":
        return type(app).wsgi_app is not Flask.wsgi_app
    return getattr(type(app), name) is not getattr(Flask, name) or name in vars(app)
