"""What the extension keeps for one application, in `app.extensions["supervisor_guards"]`."""

from __future__ import annotations

import functools
import logging
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask, Response

from supervisor_guards import Guard
from supervisor_guards.errors import GuardError, PayloadUnusable
from supervisor_guards.web import (
    SAFE_METHODS,
    STATE_KEY,
    RequestFacts,
    RouteRule,
    Ruling,
    Tripwire,
    enforced,
    make_guard,
    may_refuse,
    no_decision,
    no_guard,
)
from supervisor_guards_flask import conf
from supervisor_guards_flask.answers import exception_of, refusal_of, response_of
from supervisor_guards_flask.bodies import watch_body
from supervisor_guards_flask.facts import label, rules_for
from supervisor_guards_flask.judging import rule_on
from supervisor_guards_flask.own import own_actions, own_rules
from supervisor_guards_flask.signals import announce
from supervisor_guards_flask.visits import Place, Visit

logger = logging.getLogger("supervisor_guards")

MAX_PLACES = 10_000
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""What is kept of a route that takes every method: clients may invent more."""


class Guarded:
    """One application: its settings, rules and guard. The guard is made when it is first asked.

    `given` is used instead of a guard made of the settings; who made it closes it.
    """

    def __init__(self, app: Flask, given: Guard | None = None) -> None:
        self.app = app
        self.settings = conf.read(app.config)
        self.tripwire = Tripwire()
        self._lock = threading.Lock()
        self._given = given
        self._guard: Guard | None = None
        self._failure: Exception | None = None
        if given is not None:
            given.add_hook(functools.partial(announce, app))
        self.places: dict[tuple[int, str], Place] = {}
        """By the identity of a rule of Flask's map, and the method; each holds its rule, so none is another's."""
        _all.add(self)

    def forked(self) -> None:
        """In a forked child: the parent's lock may be held by a thread that it doesn't have."""
        self._lock = threading.Lock()

    def guard(self) -> Guard:
        """The application's guard. Raises `ConfigurationError` where it can't be made and more than shadow is asked."""
        if self._guard is None:
            former = self._failure
            with self._lock:
                if self._guard is None and self._failure is not None and self._failure is not former:
                    raise self._failure  # attempts may take long: who waited for one doesn't make another
                if self._guard is None:
                    self._guard = self._given or self._made()
        return self._guard

    def close(self) -> None:
        """Store what is queued, and release the guard; the next request makes a new one."""
        with self._lock:
            made, self._guard = self._guard, None
        if made is not None and made is not self._given:
            made.close()

    def _made(self) -> Guard:
        try:
            made = make_guard(self.settings.config, f"the settings of {self.app.name!r}")
        except Exception as error:
            self._failure = error
            raise
        made.add_hook(functools.partial(announce, self.app))
        return made

    def place_of(self, request: Any) -> Place:
        """Where in Flask's map a matched request is, and what guards that place.

        It is kept, as long as the view is the same; routes that are added later are looked up when they are met.
        """
        url_rule, method = request.url_rule, request.method
        view = self.app.view_functions.get(url_rule.endpoint)
        place = self.places.get((id(url_rule), method))
        if place is None or place.view is not view or place.url_rule is not url_rule:
            place = Place(url_rule, method, view)
            if not is_automatic(url_rule, method):
                rules = rules_for(self.settings.rules, method, url_rule, view)
                delegated = frozenset(rule.action for rule in rules) & own_actions(view, method)
                place = Place(url_rule, method, view, rules, own_rules(view, method), delegated)
            if len(self.places) < MAX_PLACES and method in (url_rule.methods or _METHODS):
                self.places[(id(url_rule), method)] = place
        return place

    def visit(self, request: Any, place: Place, path: Mapping[str, Any]) -> Visit:
        """A request's visit of `place`, whose body is watched from here on where a rule may look at it."""
        visit = Visit(place, path)
        reading = [rule.max_body_bytes for rule in (*place.rules, *place.own) if rule.reads_body]
        if reading:
            visit.watch = watch_body(request, max(reading))
        return visit

    def judge(self, request: Any, visit: Visit) -> Any:
        """The answer that refuses the request by a rule of the settings; None where the view may run."""
        rules = [rule for rule in visit.place.rules if rule.action not in visit.delegated]
        if not rules:
            return None
        ruling = self.rule(request, visit, rules, visit.path)
        return None if ruling.error is None else self.answer(ruling.error, request, ruling.action, ruling.facts)

    def rule(self, request: Any, visit: Visit, rules: Sequence[RouteRule], path: Mapping[str, Any]) -> Ruling:
        """Judge by those of `rules` that may refuse, and let the others observe what follows."""
        try:
            guard = self.guard()
            asking, observing = enforced(guard, rules)
        except Exception as error:
            refused = next((rule for rule in rules if may_refuse(self.settings.config, [rule])), None)
            if refused is not None:
                return Ruling(no_guard(error), refused.action)
            visit.excused |= {rule.action for rule in rules}
            return Ruling()
        if asking:
            ruling = rule_on(guard, asking, request, visit, path, self.settings.user_resolver)
            if ruling.error is not None:
                return ruling
            visit.passes(ruling)
        visit.observing += [(guard, rule, path) for rule in observing]
        return Ruling()

    def unresolved(self, request: Any) -> Any:
        """The answer to a request of which Flask's router didn't say what it is; None where it may go on."""
        if not len(self.settings.rules) or request.method in SAFE_METHODS or not self.settings.enforces:
            return None
        logger.error("it can't be told which route a request is", extra={"method": request.method})
        if self.settings.unresolved == "warn":
            return None
        return self.answer(PayloadUnusable("deny", ["unresolved-route"]), request)

    def broken(self, request: Any, error: Exception) -> Any:
        """The answer where we failed ourselves before anything was asked; None where all is in shadow."""
        if not self.settings.enforces:
            return None
        return self.answer(no_decision(error, label(request)), request)

    def answer(
        self, error: GuardError, request: Any, action: str | None = None, facts: RequestFacts | None = None
    ) -> Response:
        """The response for `error`. Raises it as an exception of Werkzeug where the settings say so."""
        refusal = refusal_of(error, request, self.settings.review_url, action, facts)
        if conf.raises_errors(self.settings):
            raise exception_of(refusal, error) from error
        return response_of(refusal)

    def trip(self, request: Any, visit: Visit | None) -> None:
        """Report a view that ran although not all its actions were decided on, or are about to be observed."""
        settled = set() if visit is None else visit.excused | {rule.action for _, rule, _ in visit.observing}
        actions = tuple(rule.action for rule in self.place_of(request).rules if rule.action not in settled)
        if actions:
            self.tripwire.check(visit, actions, label(request))


def is_automatic(url_rule: Any, method: str) -> bool:
    """Whether Flask answers such a request itself."""
    return method == "OPTIONS" and getattr(url_rule, "provide_automatic_options", False)


def guarded_of(app: Flask) -> Guarded | None:
    """What the extension keeps for `app`; None where it isn't on it."""
    found = app.extensions.get(STATE_KEY)
    return found if isinstance(found, Guarded) else None


_all: weakref.WeakSet[Guarded] = weakref.WeakSet()


def _after_fork() -> None:
    for guarded in list(_all):
        guarded.forked()


os.register_at_fork(after_in_child=_after_fork)
