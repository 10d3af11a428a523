"""A version of a policy over the recorded decisions of a window: page by page, so that neither memory nor the event
loop is held, however many there are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from supervisor_guards._desk import DecisionQuery
from supervisor_guards._model import Verdict
from supervisor_guards.embedded.bundle import iso
from supervisor_guards.embedded.rows import StoredDecision
from supervisor_guards.embedded.store import Store
from supervisor_guards.policy.engine import Policy
from supervisor_guards.policy.replay import Comparison, Replayed

__all__ = ["SHOWN", "WINDOWS", "Replay"]

WINDOWS = {"24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
"""Seconds."""
SHOWN = 100
"""Of the decisions that differ, so many are shown one by one."""
_PAGE = 250

_decode = msgspec.json.Decoder().decode


class Replay:
    """One replay of `policy`, the newest decisions of each of its action types first, `limit` of them at most."""

    def __init__(self, store: Store, policy: Policy, window: str, limit: int | None = None) -> None:
        self._store = store
        self._policy = policy
        self._window = window
        self._left = limit
        self._since = time.time_ns() // 1_000 - WINDOWS[window] * 1_000_000
        self._replayed = Replayed(policy)
        self._counts = Comparison()
        self._skipped = 0
        self._divergences: list[dict[str, Any]] = []
        self._steps = self._pages()

    def expected(self) -> int:
        """How many decisions there are to look at, as the roll-ups know: decisions under way make it a little off."""
        totals = self._store.totals(self._since, ("action_type",))
        known = sum(total.decisions for total in totals if total.action_type in self._policy.actions)
        return known if self._left is None else min(known, self._left)

    def step(self) -> int | None:
        """Read and judge one page; how many decisions were looked at so far, None when none is left."""
        return next(self._steps, None)

    def _pages(self) -> Iterator[int]:
        for action_type in self._policy.actions:
            cursor: int | None = None
            while self._left is None or self._left > 0:
                size = _PAGE if self._left is None else min(_PAGE, self._left)
                query = DecisionQuery(action_type=action_type, since=self._since)
                page = self._store.find_decisions(query, size, cursor)
                for row in page.rows:
                    self._take(row)
                if self._left is not None:
                    self._left -= len(page.rows)
                yield self._counts.total + self._skipped
                cursor = page.cursor
                if cursor is None:
                    break

    def result(self) -> dict[str, Any]:
        """What came out so far."""
        counts = self._counts
        return {
            "window": self._window,
            "policy_version": self._policy.label,
            "total": counts.total,
            "same": counts.same,
            "differ": counts.differ,
            "would_tighten": counts.would_tighten,
            "would_loosen": counts.would_loosen,
            "unreadable": counts.unreadable,
            "skipped": self._skipped,
            "changes": [
                {"from": before, "to": after, "count": count} for (before, after), count in counts.changes.most_common()
            ],
            "divergences": self._divergences,
        }

    def _take(self, row: StoredDecision) -> None:
        """Judge one decision. One that nobody judged when it was made can't be compared."""
        if row.status != "evaluated" or row.payload is None:
            self._skipped += 1
            return
        verdict = self._replayed.judge(_decode(row.payload), _decode(row.context) if row.context else {})
        recorded = _recorded(row)
        if self._counts.add(recorded, verdict) and verdict is not None and len(self._divergences) < SHOWN:
            self._divergences.append(_divergence(row, recorded, verdict))


def _recorded(row: StoredDecision) -> str:
    """What the policy said then. The outcome of an action that was approved is not its verdict."""
    if row.would_have is not None:
        return row.would_have
    said = {hit.action for hit in row.hits}
    return next((outcome for outcome in ("deny", "review", "allow") if outcome in said), row.outcome)


def _divergence(row: StoredDecision, recorded: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "action_id": row.action_id,
        "action_type": row.action_type,
        "created_at": iso(row.time),
        "shadow": not row.enforced,
        "recorded": {"decision": recorded, "reasons": list(row.reasons), "policy_version": row.policy_version or ""},
        "replayed": {"decision": verdict.outcome.value, "reasons": list(verdict.reasons)},
    }
