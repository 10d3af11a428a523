"""Where a review stands, for the client that waits for it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from supervisor_guards_django import conf, users

_NO_STORE = {"Cache-Control": "no-store"}
_LATER = {**_NO_STORE, "Retry-After": "5"}


@require_safe
def review_status(request: HttpRequest, action_id: str) -> JsonResponse:
    """A view: `path("reviews/<str:action_id>", review_status)`, with `"REVIEW_URL": "/reviews"` in the settings.

    It answers `action_id` and `status` of a review to the subject who asked for the action, and 404 to everybody
    else, as for one that doesn't exist. Payload, reasons and reviewers are not part of it.
    """
    try:
        sender = users.resolve(request, conf.current().user_resolver)
    except Exception:
        return _unknown()
    try:
        case = _case(action_id)
    except Exception:
        return JsonResponse({"title": _("The review can't be looked up.")}, status=503, headers=_LATER)
    if case is None or case.subject != (sender.id if sender.state == "known" else None):
        return _unknown()
    headers = _LATER if case.status == "pending" else _NO_STORE
    return JsonResponse({"action_id": case.action_id, "status": case.status}, headers=headers)


def _case(action_id: str) -> Any:
    """The review, None where there is none. A supervisor elsewhere shows it where it keeps it."""
    store = getattr(conf.guard().supervisor, "store", None)
    try:
        return None if store is None else store.case(action_id)
    except LookupError:
        return None


def _unknown() -> JsonResponse:
    return JsonResponse({"title": _("There is no such review.")}, status=404, headers=_NO_STORE)
