"""Who may knock. A real project asks its own authentication; the guard only needs an id that stays the same."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication

from supervisor_guards.web import ANONYMOUS, User

TOKENS = {"token-of-the-support-agent": User("support-agent", kind="service")}


def who(request: Any) -> User:
    """`USER_RESOLVER`: the sender by bearer token, else by Django's session. An approval is for the one who asked."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return TOKENS.get(token, ANONYMOUS)
    user = getattr(request, "user", None)
    return User(str(user.pk)) if user is not None and user.is_authenticated else ANONYMOUS


class TokenAuthentication(BaseAuthentication):
    """The same for Django REST framework, whose views authenticate by themselves."""

    def authenticate(self, request: Any) -> tuple[User, None] | None:
        plain: HttpRequest = request._request
        sender = who(plain)
        return (sender, None) if sender.state == "known" else None
