"""Refusals as Django responses. People get a page, from a template that a project may override, in their language."""

from __future__ import annotations

import json
import logging
from typing import Any

from django.http import HttpResponse
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from django.utils.translation import get_language, get_language_bidi
from django.utils.translation import gettext_lazy as _

from supervisor_guards.errors import GuardError, SupervisorBlocked, SupervisorReviewPending, SupervisorUnavailable
from supervisor_guards.web import Refusal, RequestFacts, prefers_html
from supervisor_guards_django import conf

logger = logging.getLogger("supervisor_guards")

REFUSALS = (SupervisorBlocked, SupervisorReviewPending, SupervisorUnavailable)
"""What a guarded call raises instead of running."""

TEMPLATE = "supervisor_guards/refusal.html"
"""Its context: `title`, `status`, `kind` (the end of the problem's type), `action`, `instance`, `review_url`."""

TITLES = {
    "denied": _("This action is not allowed."),
    "approval-required": _("This action needs a person's approval."),
    "approval-invalid": _("The approval can't be used for this request."),
    "approval-used": _("The approval has been used already."),
    "supervisor-unavailable": _("The action can't be checked at the moment."),
    "ambiguous-payload": _("The request can be read in more than one way."),
    "payload-unusable": _("The request's content can't be checked."),
    "payload-too-large": _("The request's content is too large to be checked."),
    "unsupported-type": _("The request's content is of a type that can't be checked."),
}
"""The engine's titles by kind, where Django finds them to translate."""


def refusal_of(
    error: GuardError, request: Any, action: str | None = None, facts: RequestFacts | None = None, *, accept: str = ""
) -> Refusal:
    """The answer for `error`, for a client that accepts `accept`."""
    action_id = getattr(error, "action_id", None)
    base = conf.current().review_url
    url = f"{base}/{action_id}" if base is not None and action_id else None
    return Refusal.of(error, action=action, review_url=url, facts=facts, accept=accept)


def response_of(
    error: GuardError, request: Any, action: str | None = None, facts: RequestFacts | None = None
) -> HttpResponse:
    """The same as a response: a page where the client would rather have one. HEAD gets it without the body."""
    accept = request.META.get("HTTP_ACCEPT", "")
    refusal = refusal_of(error, request, action, facts, accept=accept)
    headers, body = dict(refusal.headers), refusal.body
    if prefers_html(accept):
        body = _page(json.loads(refusal_of(error, request, action, facts).body)) or body
        headers["Content-Length"] = str(len(body))
    return HttpResponse(b"" if request.method == "HEAD" else body, status=refusal.status, headers=headers)


def _page(problem: dict[str, Any]) -> bytes | None:
    """The page of the template, None where the project's template engines don't find it.

    It gets no request: context processors would look at the session, and at the database.
    """
    kind = problem["type"].rpartition("/")[2]
    context = {**problem, "kind": kind, "title": TITLES.get(kind, problem["title"])}
    context |= {"language": get_language() or "en", "direction": "rtl" if get_language_bidi() else "ltr"}
    try:
        return render_to_string(TEMPLATE, context).encode()
    except TemplateDoesNotExist:
        return None
    except Exception:  # a project's own template, which must not make another answer of a refusal
        logger.exception("the template %s failed", TEMPLATE)
        return None
