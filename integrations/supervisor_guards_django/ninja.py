"""django-ninja: refusals as answers, and the sender as an operation's authentication found it.

Operations are guarded like other functions: `@api.post("/refunds")` above `@supervised_view("refund", ...)`.
"""

from __future__ import annotations

from typing import Any

from supervisor_guards.web import User
from supervisor_guards_django.answers import REFUSALS, response_of
from supervisor_guards_django.users import user_of


def handle_refusals(api: Any) -> None:
    """Let `api`, a `NinjaAPI`, answer what `supervised` and its kin raise inside operations like any other refusal."""

    def answer(request: Any, error: Any) -> Any:
        return response_of(error, request)

    for kind in REFUSALS:
        api.add_exception_handler(kind, answer)


def ninja_user(request: Any) -> User:
    """For `USER_RESOLVER`: who authenticated, by `request.auth` where that is a user, else by Django's session.

    An operation's authentication runs after the middleware, so only a guard at the operation knows it.
    """
    auth = getattr(request, "auth", None)
    return user_of(auth if hasattr(auth, "is_authenticated") else getattr(request, "user", None))
