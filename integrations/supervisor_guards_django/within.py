"""What a plain guard inside a view is told of its request. Worked out when one asks: most requests have none."""

from __future__ import annotations

from typing import Any
from weakref import ref

from asgiref.sync import iscoroutinefunction

from supervisor_guards.errors import GuardError
from supervisor_guards.web import UNKNOWN, Body, LazyFacts, RequestFacts, User
from supervisor_guards_django import conf, users
from supervisor_guards_django.facts import facts_of, place_of
from supervisor_guards_django.judging import APPROVAL_KEY, approvals_of


class Within(LazyFacts):
    """The facts of one request, and the approvals it brings."""

    _made = None

    def __init__(self, request: Any) -> None:
        # The request keeps this object: a cycle would leave every request to the garbage collector.
        self._reference = ref(request)

    def approvals(self, request: Any) -> tuple[str, ...]:
        """The approvals that the request brings; a header that can't be read brings none."""
        if APPROVAL_KEY not in request.META:
            return ()
        try:
            return approvals_of(request)
        except GuardError:
            return ()

    def _make(self) -> Any:
        request = self._reference()
        if request is None:  # a thread of the view's own has outlived it
            return RequestFacts("", "?").engine_facts()
        match = request.resolver_match
        place = place_of(request, match.func if match is not None else None)
        return facts_of(request, place, Body("unread"), _sender(request)).engine_facts()


def _sender(request: Any) -> User:
    """The sender; on the event loop only what is at hand, as nothing can be awaited from here."""
    resolver = conf.current().user_resolver
    try:
        if resolver is not None and iscoroutinefunction(resolver):
            return UNKNOWN
        return users.unmarked(request, lambda: users.resolve(request, resolver))
    except Exception:
        return users.at_hand(request) or UNKNOWN
