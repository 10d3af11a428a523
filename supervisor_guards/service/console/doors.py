"""How a console knows who sent a request, and that a form is one of its own."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import secrets
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from supervisor_guards.service import forms
from supervisor_guards.service.console.visitors import Authenticate, Visitor
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.same_site import check_same_site

__all__ = ["FIELD", "MAX_FORM", "Door", "HostDoor"]

FIELD = "csrf_token"
"""The form's field that proves it."""
MAX_FORM = 65_536
_COOKIE = "supervisor_console"
_SECURE = f"__Host-{_COOKIE}"
_PLACE = "supervisor_console_cookie"


class Door(Protocol):
    """Who comes in. `sign_in` is the path of the console's own page for it; None where somebody else has one."""

    sign_in: str | None

    async def visitor(self, request: Request) -> Visitor | None:
        """Who sent `request`; None for nobody. Raises `Problem` for what it refuses."""
        ...

    async def check_form(self, request: Request, visitor: Visitor) -> None:
        """Raises `Problem` 403 for a form that no page of ours made for this visitor."""
        ...

    async def token(self, request: Request, visitor: Visitor) -> str:
        """What the forms of a page send."""
        ...

    def leave(self, request: Request, response: Response) -> None:
        """Give the browser what it needs to send the next form."""
        ...


class HostDoor:
    """The application around the console says who it is: `authenticate`.

    A form's token is made of a cookie of the console's own, so that processes need no common key.
    """

    sign_in: str | None = None

    def __init__(self, authenticate: Authenticate) -> None:
        self._authenticate = authenticate

    async def visitor(self, request: Request) -> Visitor | None:
        """As `authenticate` says. Raises `TypeError` where it answers anything but a `Visitor` or None."""
        found = self._authenticate(request)
        if inspect.isawaitable(found):
            found = await found
        if found is not None and not isinstance(found, Visitor):
            raise TypeError(f"authenticate answered {type(found).__name__}: return a Visitor, or None for nobody")
        return found

    async def check_form(self, request: Request, visitor: Visitor) -> None:
        """The token belongs to the browser's cookie and the visitor's name."""
        check_same_site(request)
        sent = (await forms.fields(request, MAX_FORM)).get(FIELD, "")
        cookie = request.cookies.get(_name(request), "")
        if not cookie or not hmac.compare_digest(_token(cookie, visitor).encode(), sent.encode("utf-8", "replace")):
            raise Problem(403, "the form is not of this browser, or its page is too old: open the page again")

    async def token(self, request: Request, visitor: Visitor) -> str:
        """Made of the cookie, which is made now where there is none."""
        cookie = request.cookies.get(_name(request))
        if not cookie:
            cookie = request.scope[_PLACE] = secrets.token_urlsafe(32)
        return _token(cookie, visitor)

    def leave(self, request: Request, response: Response) -> None:
        """The cookie, where it is new."""
        made = request.scope.get(_PLACE)
        if made is not None:
            secure = request.url.scheme == "https"
            response.set_cookie(_name(request), made, path="/", httponly=True, secure=secure, samesite="lax")


def _name(request: Request) -> str:
    return _SECURE if request.url.scheme == "https" else _COOKIE


def _token(cookie: str, visitor: Visitor) -> str:
    return hmac.new(cookie.encode("utf-8", "replace"), visitor.name.encode(), hashlib.sha256).hexdigest()
