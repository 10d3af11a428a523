"""What a plain guard inside a view is told of its request. Worked out when one asks: most requests have none."""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction

from supervisor_guards.errors import GuardError
from supervisor_guards.web import UNKNOWN, Body, LazyFacts, User
from supervisor_guards_django import conf, users
from supervisor_guards_django.facts import facts_of, place_of
from supervisor_guards_django.judging import approvals_of


class Within(LazyFacts):
    """The facts of one request, and the approvals it brings."""

    __slots__ = ("_request", "known")

    def __init__(self, request: Any) -> None:
        super().__init__(self._of_request)
        self._request = request
        self.known: User | None = None
        """The sender, where a rule has asked for it already."""

    def approvals(self) -> tuple[str, ...]:
        """The approvals that the request brings; a header that can't be read brings none."""
        try:
            return approvals_of(self._request)
        except GuardError:
            return ()

    def _of_request(self) -> Any:
        request = self._request
        match = request.resolver_match
        place = place_of(request, match.func if match is not None else None)
        return facts_of(request, place, Body("unread"), self._sender()).engine_facts()

    def _sender(self) -> User:
        """The sender; on the event loop only what is at hand, as nothing can be awaited from here."""
        resolver = conf.current().user_resolver
        try:
            if resolver is not None and iscoroutinefunction(resolver):
                return UNKNOWN
            # A guard or a task inside a view must not show in the answer's headers (`Vary: Cookie`).
            return users.unmarked(self._request, lambda: users.resolve(self._request, resolver))
        except Exception:
            return users.at_hand(self._request) or UNKNOWN
