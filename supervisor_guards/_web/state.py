"""The one object a request carries: its decisions, and whether a guarded endpoint ran without one."""

from __future__ import annotations

import itertools
import logging
from typing import Any

from supervisor_guards._model import Decision, Entry, Outcome

logger = logging.getLogger("supervisor_guards")

STATE_KEY = "supervisor_guards"
"""Under this key in a scope, an environ or an extension's place."""


class RequestState:
    """The decisions of one request, in their order; shared by copies of a scope, changed in place.

    `guarded` are the action types that the matched route needs a decision on, `delegated` those of them that a
    route-level guard will make itself.
    """

    gone = False
    """The client has left, so that nothing is to run for it any more."""

    def __init__(self, guarded: tuple[str, ...] = (), delegated: frozenset[str] = frozenset()) -> None:
        self.guarded = guarded
        self.delegated = delegated
        self.entries: list[Entry] = []

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What has been decided so far; an action in shadow counts as allowed, its verdict is not known yet."""
        return tuple(_decision(entry) for entry in self.entries)

    def decision(self, action_type: str | None = None) -> Decision | None:
        """The newest decision, on `action_type` where that is given; None where there is none."""
        found = [one for one in self.decisions if action_type in (None, one.action_type)]
        return found[-1] if found else None

    def add(self, entry: Entry) -> None:
        """Note a decision."""
        self.entries.append(entry)

    def missing(self) -> tuple[str, ...]:
        """The guarded action types without a decision."""
        had = {entry.action.action_type for entry in self.entries}
        return tuple(action for action in self.guarded if action not in had)


class Tripwire:
    """Counts endpoints that ran although their action was never decided on: a hole in us, never expected."""

    def __init__(self) -> None:
        self._ticks = itertools.count(1)
        self.guard_bypass_total = 0

    def check(self, state: RequestState | None, guarded: tuple[str, ...], route: str) -> bool:
        """Called once the endpoint of `route` ran, which `guarded` actions protect; True where all had a decision."""
        had = {entry.action.action_type for entry in state.entries} if state is not None else set()
        missing = tuple(action for action in guarded if action not in had)
        if not missing:
            return True
        self.guard_bypass_total = next(self._ticks)
        logger.error(
            "a guarded endpoint ran without a decision; guard_bypass_total is %d",
            self.guard_bypass_total,
            extra={"route": route, "actions": missing, "guard_bypass_total": self.guard_bypass_total},
        )
        return False


def get_state(holder: Any) -> RequestState | None:
    """The state in `holder`, a mapping such as a scope; None where there is none."""
    found = holder.get(STATE_KEY)
    return found if isinstance(found, RequestState) else None


def _decision(entry: Entry) -> Decision:
    action = entry.action
    return entry.decision or Decision(
        action.action_id, action.action_type, action.mode, Outcome.ALLOW, enforced=False, status="unknown"
    )
