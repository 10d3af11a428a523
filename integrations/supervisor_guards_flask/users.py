"""Who sent the request, reduced to an id: never a model, never the text of one."""

from __future__ import annotations

from typing import Any

from flask import current_app

from supervisor_guards.web import ANONYMOUS, UNKNOWN, User, UserResolver, checked_user


def resolve(request: Any, resolver: UserResolver | None) -> User:
    """The sender, as `resolver` or Flask-Login says. Raises what they raise, `TypeError` for no `User`."""
    return login_user() if resolver is None else checked_user(resolver(request), "USER_RESOLVER")


def login_user() -> User:
    """The user of Flask-Login, loaded now if nobody asked for it before; `UNKNOWN` where there is no such extension."""
    if getattr(current_app, "login_manager", None) is None:
        return UNKNOWN
    # Imported on use: an application without Flask-Login doesn't have it.
    from flask_login import current_user

    if not getattr(current_user, "is_authenticated", False):
        return ANONYMOUS
    key = current_user.get_id()
    if key is None:
        kind = type(current_user._get_current_object()).__name__
        raise TypeError(
            f"a signed-in user of type {kind} has no id: name a USER_RESOLVER that returns supervisor_guards.web.User"
        )
    return User(id=str(key))
