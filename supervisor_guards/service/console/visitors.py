"""Who looks at the console. No I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request

from supervisor_guards._desk import Principal
from supervisor_guards.service.principals import ROLES, Role
from supervisor_guards.service.problems import Problem

__all__ = ["Authenticate", "Visitor"]


class Visitor(msgspec.Struct, frozen=True):
    """A person, as the application in front of the console knows them.

    `role` is viewer, reviewer or administrator; each may do what those before it may. `known_as` are their other
    names: what one of them asked for is their own, and nobody approves their own action. Raises `ValueError` for a
    blank name and an unknown role.
    """

    name: str
    role: Role = "viewer"
    known_as: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError(f"visitor {self.name!r}: name the person who looks at the console")
        if self.role not in ROLES:
            raise ValueError(f"role={self.role!r} of visitor {self.name!r}: choose one of {', '.join(ROLES)}")

    def at_least(self, role: Role) -> bool:
        """Whether this person's role may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def demand(self, role: Role) -> None:
        """Raises `Problem` 403 for somebody whose role may less than `role`."""
        if not self.at_least(role):
            raise Problem(403, f"{self.name!r} has the role {self.role}: this takes the role {role}")

    @property
    def principal(self) -> Principal:
        """Who sits at the desk."""
        return Principal(self.name, self.at_least("reviewer"), self.known_as)


Authenticate = Callable[[Request], "Visitor | Awaitable[Visitor | None] | None"]
"""Who sent a request; None for somebody who may not see the console."""
