"""Refusals as responses, or as exceptions for the application's own error handlers."""

from __future__ import annotations

from typing import Any

from flask import Response
from werkzeug.exceptions import (
    BadRequest,
    Conflict,
    Forbidden,
    HTTPException,
    RequestEntityTooLarge,
    ServiceUnavailable,
    UnsupportedMediaType,
)

from supervisor_guards.errors import GuardError, SupervisorBlocked, SupervisorReviewPending, SupervisorUnavailable
from supervisor_guards.web import Refusal, RequestFacts

REFUSALS = (SupervisorBlocked, SupervisorReviewPending, SupervisorUnavailable)
"""What a guarded call raises instead of running."""


class Refused(HTTPException):
    """What is raised with `RAISE_ERRORS`, together with Werkzeug's exception for the status (`Forbidden`, ...).

    `error` is what the guard raised, `refusal` the answer that is given where no handler answers.
    """

    error: GuardError
    refusal: Refusal


class RefusedForbidden(Refused, Forbidden):
    """403: denied, needs an approval, or the approval can't be used."""


class RefusedBadRequest(Refused, BadRequest):
    """400: the content can't be checked, or can be read in two ways."""


class RefusedConflict(Refused, Conflict):
    """409: the approval was used already."""


class RefusedTooLarge(Refused, RequestEntityTooLarge):
    """413: the body is larger than the rule looks at."""


class RefusedUnsupported(Refused, UnsupportedMediaType):
    """415: the body is of a type that can't be checked."""


class RefusedUnavailable(Refused, ServiceUnavailable):
    """503: no verdict could be had."""


_KINDS: dict[int, type[Refused]] = {
    403: RefusedForbidden,
    400: RefusedBadRequest,
    409: RefusedConflict,
    413: RefusedTooLarge,
    415: RefusedUnsupported,
    503: RefusedUnavailable,
}


def refusal_of(
    error: GuardError, request: Any, review_url: str | None, action: str | None, facts: RequestFacts | None
) -> Refusal:
    """The answer for `error`; `review_url` is where the application shows reviews."""
    action_id = getattr(error, "action_id", None)
    url = f"{review_url}/{action_id}" if review_url is not None and action_id else None
    return Refusal.of(error, action=action, review_url=url, facts=facts, accept=request.headers.get("Accept", ""))


def response_of(refusal: Refusal) -> Response:
    """The same as a response; Werkzeug leaves the body out for HEAD."""
    return Response(refusal.body, refusal.status, dict(refusal.headers))


def exception_of(refusal: Refusal, error: GuardError) -> Refused:
    """The same as an exception; without a handler it answers as the response would."""
    raised = _KINDS[refusal.status](response=response_of(refusal))
    raised.error, raised.refusal = error, refusal
    return raised
