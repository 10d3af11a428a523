"""Refusals as Django responses."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from supervisor_guards.errors import GuardError, SupervisorBlocked, SupervisorReviewPending, SupervisorUnavailable
from supervisor_guards.web import Refusal, RequestFacts
from supervisor_guards_django import conf

REFUSALS = (SupervisorBlocked, SupervisorReviewPending, SupervisorUnavailable)
"""What a guarded call raises instead of running."""


def refusal_of(
    error: GuardError, request: Any, action: str | None = None, facts: RequestFacts | None = None, *, page: bool = True
) -> Refusal:
    """The answer for `error`; with `page`, one for people where the client would rather have that."""
    accept = request.META.get("HTTP_ACCEPT", "") if page else ""
    action_id = getattr(error, "action_id", None)
    base = conf.current().review_url
    url = f"{base}/{action_id}" if base is not None and action_id else None
    return Refusal.of(error, action=action, review_url=url, facts=facts, accept=accept)


def response_of(
    error: GuardError, request: Any, action: str | None = None, facts: RequestFacts | None = None
) -> HttpResponse:
    """The same as a response; a HEAD request gets it without the body."""
    refusal = refusal_of(error, request, action, facts)
    body = b"" if request.method == "HEAD" else refusal.body
    return HttpResponse(body, status=refusal.status, headers=dict(refusal.headers))
