"""Where a review stands, for the client that waits for it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from supervisor_guards import Guard
from supervisor_guards.web import User
from supervisor_guards_asgi.evaluation import Gate
from supervisor_guards_asgi.facts import UserResolver, resolve_user, starlette_user
from supervisor_guards_asgi.holding import Holds, case_of

_HEADERS = {"Cache-Control": "no-store"}


def review_status(*, guard: Guard | None = None, user: UserResolver = starlette_user) -> Router:
    """An application to mount: `Mount("/reviews", review_status())`, with `review_url="/reviews"` at the guards.

    `GET /{action_id}` answers `action_id` and `status` of a review to the subject who asked for the action, and
    404 to everybody else, as for one that doesn't exist. Payload, reasons and reviewers are not part of it.
    """
    gate = Gate(guard, user, Holds())

    async def status(request: Request) -> Response:
        try:
            sender: User = await resolve_user(user, request.scope)
        except Exception:
            return _unknown()
        subject = sender.id if sender.state == "known" else None
        try:
            case = await case_of(await gate.guard(), request.path_params["action_id"])
        except Exception:
            headers = {**_HEADERS, "Retry-After": "5"}
            return JSONResponse({"title": "The review can't be looked up."}, 503, headers)
        if case is None or case.subject != subject:
            return _unknown()
        headers = {**_HEADERS, "Retry-After": "5"} if case.status == "pending" else _HEADERS
        return JSONResponse({"action_id": case.action_id, "status": case.status}, headers=headers)

    return Router([Route("/{action_id}", status, methods=["GET"], name="review_status")])


def _unknown() -> Response:
    return JSONResponse({"title": "There is no such review."}, 404, _HEADERS)
