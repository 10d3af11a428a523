"""Who calls: an application, or a person with a role; and what each may do. No I/O."""

from __future__ import annotations

from typing import Literal

import msgspec

from supervisor_guards.service.problems import Problem

Role = Literal["viewer", "reviewer", "administrator"]
ROLES: tuple[Role, ...] = ("viewer", "reviewer", "administrator")
"""Each may do what those before it may."""

ANY_SCOPE = "*"

CALLER = "supervisor_guards.caller"
"""Where a request's scope has its principal, once it is known: the log names it."""


class Integration(msgspec.Struct, frozen=True):
    """An application. It sees its own actions, reviews and evidence, of the action types in its scopes."""

    id: str
    name: str
    scopes: tuple[str, ...]
    resolves_own: bool = False
    per_minute: int | None = None

    def may(self, action_type: str) -> bool:
        """Whether `action_type` is in its scopes."""
        return ANY_SCOPE in self.scopes or action_type in self.scopes

    @property
    def label(self) -> str:
        """How the record names it."""
        return f"integration {self.name}"


Via = Literal["admin token", "token", "session", "proxy"]
"""How a person was recognised."""


class Person(msgspec.Struct, frozen=True):
    """A person who signed in, or whose token a program holds; the administrator's token has no account (`id` "")."""

    id: str
    name: str
    role: Role
    known_as: tuple[str, ...] = ()
    """Their names in applications: what one of them asked for is their own."""
    via: Via = "admin token"

    def at_least(self, role: Role) -> bool:
        """Whether this person's role may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def label(self) -> str:
        """How the record names them."""
        return self.name


Principal = Integration | Person


def demand(principal: Principal | None, role: Role) -> Person:
    """`principal`, if it is a person who may do what `role` may.

    Raises `Problem`: 401 for nobody, 403 for an application and for another role.
    """
    if principal is None:
        raise Problem(401, "missing administrator token or session")
    if isinstance(principal, Integration):
        raise Problem(403, f"an integration may not do this: it takes a person with the role {role}")
    if not principal.at_least(role):
        raise Problem(403, f"{principal.name!r} has the role {principal.role}: it takes the role {role}")
    return principal
