"""The policies in force, read from the database: the same in every process within a second of a promotion."""

from __future__ import annotations

import logging
import threading

import msgspec
from sqlalchemy import Connection, select, text

from supervisor_guards.embedded.parts import STARTER
from supervisor_guards.embedded.store import Store
from supervisor_guards.policy.document import load_policies, read_policies
from supervisor_guards.policy.engine import Policy, PolicySet
from supervisor_guards.service.schema import policies as table
from supervisor_guards.service.schema import policy_actions

logger = logging.getLogger("supervisor_guards")

__all__ = ["StoredPolicies", "StoredPolicy"]

IN_FORCE = text("in_force")
"""Of a row of `policy_actions`, in the words of its partial index."""


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
    def label(self) -> str:
        """Name and version, as records carry them."""
        return f"{self.name}@v{self.version}"

    @property
    def active(self) -> bool:
        """Whether it is in force."""
        return self.promoted_at is not None and self.retired_at is None

    def compiled(self) -> Policy:
        """The policy at work. Raises `PolicyError` where this release doesn't take its text any more."""
        (policy,) = read_policies(self.source, self.label)
        return policy


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
        self._compiled: dict[str, tuple[StoredPolicy, Policy]] = {}
        self._refreshing = threading.Lock()
        self.refresh()

    def current(self, *, shadow: bool = False) -> PolicySet:
        """The policies that judge."""
        if self._promoted is not None:
            return self._promoted
        return self._starter if shadow else self._none

    @property
    def in_force(self) -> list[StoredPolicy]:
        """The versions that judge, by name."""
        return sorted((stored for stored, _ in self._compiled.values()), key=lambda one: (one.name, one.id))

    def refresh(self) -> bool:
        """Read what is in force; whether that has changed. Compiles only what is new."""
        # One at a time, reading included: whoever read first would else have the last word.
        with self._refreshing, self._store.reading() as held:
            found = set(held.execute(select(policy_actions.c.policy_id).where(IN_FORCE)).scalars())
            ever = bool(found) or self._promoted is not None or _ever_promoted(held)
            if found == self._compiled.keys() and (self._promoted is not None) is ever:
                return False
            fresh = select(table).where(table.c.id.in_(found - self._compiled.keys()))
            stored = [StoredPolicy(**row) for row in held.execute(fresh).mappings()]
            compiled = {known: pair for known, pair in self._compiled.items() if known in found}
            compiled.update((one.id, (one, one.compiled())) for one in stored)
            promoted = PolicySet([policy for _, policy in compiled.values()]) if ever else None
            self._compiled, self._promoted = compiled, promoted
        labels = ", ".join(one.label for one in self.in_force)
        logger.info("policies in force: %s", labels or "none" if ever else "none; shadow is judged by the starter")
        return True


def _ever_promoted(held: Connection) -> bool:
    return held.execute(select(table.c.id).where(table.c.promoted_at.is_not(None)).limit(1)).first() is not None
