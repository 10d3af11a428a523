"""One request on its way through the extension. It is kept on Flask's request context, not on the request or `g`.

So a nested request, and a context that was copied for another thread or greenlet, has none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from flask import has_request_context
from flask.globals import request_ctx

from supervisor_guards import Decision, Guard
from supervisor_guards.web import STATE_KEY, Entry, RequestState, Result, RouteRule, Ruling, User, Watch, get_state


class Place(msgspec.Struct, frozen=True):
    """A route of Flask's map and a method, with what guards it. `view` is the function that was looked at."""

    url_rule: Any
    method: str
    view: Any
    rules: tuple[RouteRule, ...] = ()
    own: tuple[RouteRule, ...] = ()
    delegated: frozenset[str] = frozenset()

    @property
    def guarded(self) -> bool:
        """Whether anything is asked here."""
        return bool(self.rules or self.own)

    def is_of(self, request: Any) -> bool:
        """Whether `request` is still one to this place."""
        return self.url_rule is request.url_rule and self.method == request.method


class Visit(RequestState):
    """The decisions on one request, and what is left to do once it is over."""

    def __init__(self, place: Place, path: Mapping[str, Any]) -> None:
        super().__init__(tuple(rule.action for rule in place.rules), place.delegated)
        self.place = place
        self.path = path
        """The parameters as Flask's router gave them, before preprocessors take some out."""
        self.watch: Watch | None = None
        self.sender: User | None = None
        self.passed: list[Entry] = []
        """The decisions that let something run, until its result is known."""
        self.observing: list[tuple[Guard, RouteRule, Mapping[str, Any]]] = []
        self.asked = False
        """The guard's hook was called: nothing before it has answered."""
        self.excused: set[str] = set()
        """Actions in shadow that nobody could be asked about."""
        self.result: Result | None = None
        self.streaming = False
        """The answer is sent in parts, so its end is still to come when the request context goes."""

    def passes(self, ruling: Ruling) -> None:
        """Note what let the request pass."""
        self.passed += ruling.entries

    def settle(self, result: Result) -> None:
        """Note how everything ended that has no result yet."""
        passed, self.passed = self.passed, []
        for entry in passed:
            entry.settle(result)


def current_context() -> Any:
    """Flask's own context of the request being served. Raises `RuntimeError` outside of one."""
    return request_ctx._get_current_object()  # type: ignore[attr-defined]


def visit_of(context: Any) -> Visit | None:
    """The visit of a request context; None where nothing guards its route."""
    found = context.__dict__.get(STATE_KEY)
    return found if isinstance(found, Visit) else None


def get_decision(request: Any, action: str | None = None) -> Decision | None:
    """The newest decision on the request being served, on `action` where that is given; None where there is none (yet).

    What is only observed is decided on after the view has answered.
    """
    if not has_request_context():
        return None
    context = current_context()
    asked = request._get_current_object() if hasattr(request, "_get_current_object") else request
    state = get_state(context.__dict__) if context.request is asked else None
    return None if state is None else state.decision(action)
