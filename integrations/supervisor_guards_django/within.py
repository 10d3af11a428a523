"""What a plain guard inside a view is told of its request. Worked out when one asks: most requests have none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgiref.sync import iscoroutinefunction

from supervisor_guards.errors import GuardError
from supervisor_guards.web import UNKNOWN, Body, User
from supervisor_guards_django import conf, users
from supervisor_guards_django.facts import facts_of, place_of
from supervisor_guards_django.judging import APPROVAL_KEY, approvals_of


class Within:
    """Stands for `RequestFacts` and for the engine's own facts: both are read by attribute only."""

    _request: Any
    _made: Any = None

    def approvals(self) -> tuple[str, ...]:
        """The approvals that the request brings; a header that can't be read brings none."""
        if APPROVAL_KEY not in self._request.META:
            return ()
        try:
            return approvals_of(self._request)
        except GuardError:
            return ()

    def engine_facts(self) -> Within:
        return self

    @property
    def subject(self) -> str | None:
        return self._facts().subject

    @property
    def route(self) -> str | None:
        return self._facts().route

    @property
    def request(self) -> Mapping[str, Any] | None:
        return self._facts().request

    @property
    def tenant(self) -> str | None:
        return self._facts().tenant

    def _facts(self) -> Any:
        if self._made is None:
            request = self._request
            match = request.resolver_match
            place = place_of(request, match.func if match is not None else None)
            self._made = facts_of(request, place, Body("unread"), self._sender()).engine_facts()
        return self._made

    def _sender(self) -> User:
        """The sender; on the event loop only what is at hand, as nothing can be awaited from here."""
        resolver = conf.current().user_resolver
        try:
            if resolver is not None and iscoroutinefunction(resolver):
                return UNKNOWN
            return users.resolve(self._request, resolver)
        except Exception:
            return users.at_hand(self._request) or UNKNOWN
