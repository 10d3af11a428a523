"""Where a review stands, for the client that waits for it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from supervisor_guards import get_guard
from supervisor_guards_flask import users
from supervisor_guards_flask.application import guarded_of


def review_status(name: str = "review_status") -> Blueprint:
    """A blueprint to register: `app.register_blueprint(review_status(), url_prefix="/reviews")`.

    With `REVIEW_URL: "/reviews"` in the settings. `GET /ACTION_ID` answers `action_id` and `status` of a review to the
    subject who asked for the action, and 404 to everybody else, as for one that doesn't exist. Payload, reasons and
    reviewers are not part of it.
    """
    blueprint = Blueprint(name, __name__)

    @blueprint.get("/<action_id>")
    def status(action_id: str) -> Response:
        try:
            case = _case(action_id)
            subject = _subject()
        except Exception:
            return _answer({"title": "The review can't be looked up."}, 503, retry=True)
        if case is None or case.subject != subject:
            return _answer({"title": "There is no such review."}, 404)
        return _answer({"action_id": case.action_id, "status": case.status}, 200, retry=case.status == "pending")

    return blueprint


def _case(action_id: str) -> Any:
    """The review; None where there is none, or no store to ask: a service's reviews aren't in this process."""
    store: Any = getattr(get_guard().supervisor, "store", None)
    if store is None:
        return None
    try:
        return store.case(action_id)
    except LookupError:
        return None


def _subject() -> str | None:
    found = guarded_of(current_app)
    sender = users.resolve(request, None if found is None else found.settings.user_resolver)
    return sender.id if sender.state == "known" else None


def _answer(content: dict[str, Any], status: int, *, retry: bool = False) -> Response:
    response = jsonify(content)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    if retry:
        response.headers["Retry-After"] = "5"
    return response
