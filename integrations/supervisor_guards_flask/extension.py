"""`SupervisorGuards`: the Flask extension."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

from flask import Flask, current_app

from supervisor_guards import Guard
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.web import SETTING, STATE_KEY, find_guard, find_request, supervised_exempt
from supervisor_guards_flask.application import Guarded, guarded_of
from supervisor_guards_flask.checks import Findings, check
from supervisor_guards_flask.commands import group
from supervisor_guards_flask.hooks import install
from supervisor_guards_flask.within import guard_here, request_here, settings_here

T = TypeVar("T")
logger = logging.getLogger("supervisor_guards")


class SupervisorGuards:
    """One check in front of risky views: `guards = SupervisorGuards(); guards.init_app(app)`.

    Everything is in `app.config`: the dict `SUPERVISOR_GUARDS`, or keys named as the environment's variables. What is
    known of an application is kept with the application, so one extension serves several, each with its own guard.
    """

    def __init__(self, app: Flask | None = None, *, guard: Guard | None = None) -> None:
        if app is not None:
            self.init_app(app, guard=guard)

    def init_app(self, app: Flask, *, guard: Guard | None = None) -> None:
        """Guard `app` by its settings. No I/O. `guard` is used instead of one made of them, and stays its maker's.

        Call it once the settings are there, and after what authenticates is registered: hooks are called in that order.
        Raises `ConfigurationError` where the settings are wrong and anything is enforced; in shadow that is logged.
        """
        if STATE_KEY in app.extensions:
            raise RuntimeError(
                f"SupervisorGuards is on the application {app.name!r} already: call init_app once for each "
                "application, or leave out SupervisorGuards(app)"
            )
        if app._got_first_request:
            raise RuntimeError(
                f"the application {app.name!r} has served a request already, some of it unguarded: call "
                "SupervisorGuards().init_app(app) where the application is made"
            )
        guarded = Guarded(app, guard)
        problems = guarded.settings.problems
        if problems and (guarded.settings.enforces or _is_unclear(guarded)):
            raise ConfigurationError(problems)
        if problems:
            logger.error("running in shadow; mend %s of %r: %s", SETTING, app.name, "; ".join(problems))
        app.extensions[STATE_KEY] = guarded
        install(app, guarded)
        app.cli.add_command(group())
        find_guard(guard_here, settings_here)
        find_request(request_here)

    def exempt(self, place: T, *, reason: str) -> T:
        """Say why a view, a class-based view or a blueprint needs no guard: it is listed with it, not as a gap.

        Nothing is switched off: a rule that names it asks all the same. Returns `place`.
        """
        marked: T = supervised_exempt(reason=reason)(place)  # type: ignore[type-var]
        return marked

    def guard(self, app: Flask | None = None) -> Guard:
        """The guard of `app`, by default of the current one. Made on first use, which opens policy and store."""
        return self._of(app).guard()

    def check(self, app: Flask | None = None) -> Findings:
        """Look over settings, rules, routes, policy and store, at the end of a factory or in a test.

        Raises `ConfigurationError` with every problem; returns the warnings otherwise.
        """
        found = check(self._of(app))
        if found.problems:
            raise ConfigurationError(found.problems)
        return found

    def close(self, app: Flask | None = None) -> None:
        """Store what is queued and release the guard: for tests, which make many applications."""
        self._of(app).close()

    def _of(self, app: Flask | None) -> Guarded:
        found = guarded_of(app or current_app)
        if found is None:
            raise RuntimeError("SupervisorGuards is not on this application: call init_app(app)")
        return found


def _is_unclear(guarded: Guarded) -> bool:
    """Whether it can't be told that nothing but shadow is meant."""
    config, written = guarded.settings.config, guarded.app.config.get(SETTING, {})
    return not isinstance(written, Mapping) or (config.enforcement_mode != "shadow" and not config.force_shadow)
