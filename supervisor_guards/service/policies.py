"""The policies in force, read from the database: the same in every process within a second of a promotion."""

from __future__ import annotations

import logging

import msgspec
from sqlalchemy import Connection, and_, select

from supervisor_guards.embedded.parts import STARTER
from supervisor_guards.embedded.store import Store
from supervisor_guards.policy.document import load_policies, read_policies
from supervisor_guards.policy.engine import Policy, PolicySet
from supervisor_guards.service.schema import policies as table

logger = logging.getLogger("supervisor_guards")

__all__ = ["PolicyConflict", "StoredPolicies", "StoredPolicy", "in_force"]


class StoredPolicy(msgspec.Struct, frozen=True):
    """One version of a policy document, as stored. `action_types` is a JSON list; times are in microseconds."""

    id: str
    name: str
    version: str
    action_types: str
    source: str
    hash: str
    created_at: int
    created_by: str
    promoted_at: int | None = None
    retired_at: int | None = None

    @property
    def active(self) -> bool:
        """Whether it is in force."""
        return self.promoted_at is not None and self.retired_at is None


class PolicyConflict(ValueError):
    """The name and version are taken by a document of other text."""


def in_force(held: Connection) -> list[StoredPolicy]:
    """The promoted versions, by name."""
    promoted = and_(table.c.promoted_at.is_not(None), table.c.retired_at.is_(None))
    found = held.execute(select(table).where(promoted).order_by(table.c.name)).mappings()
    return [StoredPolicy(**row) for row in found]


class StoredPolicies:
    """Compiled policies of the database. `refresh` looks whether others are in force; `current` never waits.

    Where nothing was ever promoted, shadow is judged by the starter policy, so that a first look shows something;
    enforced actions have no policy then, and are denied.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._starter = load_policies(STARTER)
        self._none = PolicySet()
        self._promoted: PolicySet | None = None
        self._compiled: dict[str, list[Policy]] = {}
        self.refresh()

    def current(self, *, shadow: bool = False) -> PolicySet:
        """The policies that judge."""
        if self._promoted is not None:
            return self._promoted
        return self._starter if shadow else self._none

    def refresh(self) -> bool:
        """Read what is in force; whether that has changed. Compiles only what is new."""
        with self._store.reading() as held:
            found = in_force(held)
            ever = bool(found) or held.execute(select(table.c.id).limit(1)).first() is not None
        compiled = {one.id: self._compiled.get(one.id) or read_policies(one.source, one.name) for one in found}
        if compiled.keys() == self._compiled.keys() and (self._promoted is not None) is ever:
            return False
        self._compiled = compiled
        self._promoted = PolicySet([policy for group in compiled.values() for policy in group]) if ever else None
        labels = ", ".join(policy.label for group in compiled.values() for policy in group)
        logger.info("policies in force: %s", labels or "none; shadow is judged by the starter policy")
        return True
