"""What is written in the same transaction as the record: the word to other processes, and webhooks to be sent."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from supervisor_guards.embedded.rows import DecisionRow, Event
from supervisor_guards.service import wakeups
from supervisor_guards.service.tallies import tally

_REVIEWED = frozenset({"pending", "approved", "rejected", "abandoned", "expired", "used", "executed"})


def within(held: Connection, decisions: Sequence[DecisionRow], events: Sequence[Event]) -> None:
    """Called in each transaction that adds `decisions` and `events` to the record."""
    tally(held, decisions, events)
    if decisions:
        wakeups.tell(held, wakeups.DECISIONS)
    if any(event.kind in _REVIEWED for event in events):
        wakeups.tell(held, wakeups.REVIEWS)
