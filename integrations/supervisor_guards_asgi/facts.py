"""What is known of a request: its facts for the engine, and who sent it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection

from supervisor_guards.web import ANONYMOUS, UNKNOWN, Body, RequestFacts, User, checked_user
from supervisor_guards_asgi.routing import Resolution

UserResolver = Callable[[HTTPConnection], "User | Awaitable[User | None] | None"]
WEBSOCKET = "WEBSOCKET"
"""The word for a websocket's handshake where a rule, or a route's label, has a method."""
_ID_NAMES = ("identity", "id", "pk", "username")


def method_of(scope: Mapping[str, Any]) -> str:
    """The request's method, upper-case."""
    return str(scope["method"]).upper() if scope["type"] == "http" else WEBSOCKET


def headers_of(scope: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The headers in their order, names in lower case."""
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])


def header_values(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """Every value of one header; `name` in lower case, as servers have to give them (ASGI, HTTP scope)."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def label(scope: Mapping[str, Any], template: str | None) -> str:
    """How a rule would write the route: method and template."""
    return f"{method_of(scope)} {template or '?'}"


def facts_of(scope: Mapping[str, Any], resolution: Resolution, body: Body, user: User) -> RequestFacts:
    """The facts of the request that `resolution` found the route of."""
    return RequestFacts(
        method_of(scope),
        label(scope, resolution.template),
        path=resolution.path,
        raw_path=resolution.raw_path(),
        query=tuple(QueryParams(scope.get("query_string", b"")).multi_items()),
        headers=headers_of(scope),
        user=user,
        body=body,
    )


def starlette_user(connection: HTTPConnection) -> User:
    """The user that Starlette's `AuthenticationMiddleware` found, reduced to an id and scopes."""
    user = connection.scope.get("user")
    if user is None:
        return UNKNOWN
    if not getattr(user, "is_authenticated", False):
        return ANONYMOUS
    scopes = getattr(connection.scope.get("auth"), "scopes", ())
    return User(id=_identity(user), scopes=tuple(str(one) for one in scopes))


async def resolve_user(resolver: UserResolver, scope: MutableMapping[str, Any]) -> User:
    """What `resolver` says; None means anonymous. Raises what it raises, `TypeError` for anything but a `User`."""
    found = resolver(HTTPConnection(scope))
    if isinstance(found, Awaitable):
        found = await found
    return checked_user(found)


def _identity(user: object) -> str | None:
    """A stable id, never the text of an object. Raises `TypeError` where the user has none."""
    for name in _ID_NAMES:
        try:
            value = getattr(user, name, None)
        except NotImplementedError:  # Starlette's BaseUser names the property and leaves it out
            continue
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return str(value)
    raise TypeError(
        f"a signed-in user of type {type(user).__name__} has no {', '.join(_ID_NAMES)}: give user=, a resolver that "
        "returns supervisor_guards.web.User"
    )
