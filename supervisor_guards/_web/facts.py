"""What an adapter knows about the request it serves, in the same form for every framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from supervisor_guards._context import Facts
from supervisor_guards._web.bodies import Body, Pairs

Pick = Literal["first", "last"]
UserState = Literal["known", "anonymous", "unknown"]

REQUEST_VERSION = 1
"""The version of the mapping that policies read as `request`."""

DEFAULT_HEADERS = frozenset({"content-type", "user-agent", "x-request-id"})
"""The request headers that reach the supervisor unasked."""

SECRET_HEADERS = frozenset(
    {
        "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "x-auth-token",
        "x-access-token", "x-csrf-token", "x-csrftoken", "x-xsrf-token", "x-amz-security-token",
        "supervisor-approval",
    }
)  # fmt: skip
"""Request headers that never reach it, whoever asks."""


class User(msgspec.Struct, frozen=True):
    """Who sent the request, reduced to what is stable: no model, no text of an object.

    `state` tells an anonymous sender from one that isn't known yet (authentication comes later, or failed to
    answer). `kind` is the adapter's word for the sort of principal: `user`, `service`.
    """

    id: str | None = None
    kind: str = "user"
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    tenant: str | None = None
    state: UserState = "known"


ANONYMOUS = User(state="anonymous")
UNKNOWN = User(state="unknown")


def checked_user(found: object, resolver: str = "the user resolver") -> User:
    """`found`, what `resolver` returned, if it is a `User` or None. Raises `TypeError`."""
    if found is None:
        return ANONYMOUS
    if not isinstance(found, User):
        raise TypeError(f"{resolver} returned {type(found).__name__}; return supervisor_guards.web.User or None")
    return found


class RequestFacts(msgspec.Struct, frozen=True):
    """One request after routing.

    `route` is the rule's way to write it, method and template: `POST /refunds/{order_id}`. `path` has the
    converted parameters as the view gets them, `raw_path` the texts they came from. `query` and `headers` are
    pairs in their order, header names in lower case, all of them: what may leave is chosen here. `pick` says
    which of several values of one name this framework hands to the application.
    """

    method: str
    route: str
    path: Mapping[str, Any] = {}
    raw_path: Mapping[str, str] = {}
    query: Pairs = ()
    headers: Pairs = ()
    user: User = UNKNOWN
    body: Body = Body("unread")
    pick: Pick = "last"
    tenant: str | None = None
    """The tenant the request is for; the user's own where it is None."""
    allowed_headers: frozenset[str] = DEFAULT_HEADERS

    @property
    def subject(self) -> str | None:
        """Who acts, as authenticated; None where nobody is."""
        return self.user.id if self.user.state == "known" else None

    def header(self, name: str) -> tuple[str, ...]:
        """Every value of the header `name` (lower case), in their order."""
        return tuple(value for key, value in self.headers if key == name)

    def engine_facts(self) -> Facts:
        """What the engine takes: the subject, the route, and what policies read as `request`.

        That mapping has `version`, `method`, `route`, `tenant`, `body_status`, `headers` (name to text, several
        values joined by a comma) and `user` with `state`, `id`, `type`, `groups`, `scopes`.
        """
        allowed = self.allowed_headers - SECRET_HEADERS
        user = self.user
        tenant = _text(self.tenant or user.tenant)
        return Facts(
            subject=_text(self.subject),
            route=_text(self.route),
            request={
                "version": REQUEST_VERSION,
                "method": _text(self.method),
                "route": _text(self.route),
                "tenant": tenant,
                "user": {
                    "state": user.state,
                    "id": _text(self.subject),
                    "type": _text(user.kind),
                    "groups": [_text(one) for one in user.groups],
                    "scopes": [_text(one) for one in user.scopes],
                },
                "headers": {name: _text(", ".join(self.header(name))) for name in allowed if self.header(name)},
                "body_status": self.body.status,
            },
            tenant=tenant,
        )


def _text(value: str | None) -> str | None:
    """`value` as text that JSON can hold: the policy reads these without a look for markers."""
    return None if value is None else str(value).encode("utf-8", "backslashreplace").decode()
