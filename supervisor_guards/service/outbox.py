"""What is written in the same transaction as the record: the word to other processes, and webhooks to be sent."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, insert, select, text

from supervisor_guards.embedded.rows import DecisionRow, Event, now_us
from supervisor_guards.service import wakeups
from supervisor_guards.service.schema import deliveries, subscriptions
from supervisor_guards.service.tallies import tally
from supervisor_guards.service.webhooks.deliveries import new_delivery
from supervisor_guards.service.webhooks.events import body, told
from supervisor_guards.service.webhooks.subscriptions import VERSION_KEY

__all__ = ["Outbox"]

_REVIEWED = frozenset({"pending", "approved", "rejected", "abandoned", "expired", "used", "executed"})
_VERSION = f"SELECT value FROM sg_meta WHERE key = '{VERSION_KEY}'"  # noqa: S608 - our own name


class _Active(msgspec.Struct, frozen=True):
    """An active subscription."""

    id: str
    events: frozenset[str]
    integration_id: str | None


class Outbox:
    """The outbox of one process. It remembers who subscribes to what, for as long as their version is the same."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._active: tuple[_Active, ...] = ()
        self._wanted: frozenset[str] = frozenset()

    def within(self, held: Connection, decisions: Sequence[DecisionRow], events: Sequence[Event]) -> None:
        """Called in each transaction that adds `decisions` and `events` to the record."""
        tally(held, decisions, events)
        topics = [wakeups.DECISIONS] if decisions else []
        if any(event.kind in _REVIEWED for event in events):
            topics.append(wakeups.REVIEWS)
        version = _tell(held, topics)
        if version != self._version:
            self._read(held)
            self._version = version
        if self._active:
            self._write(held, decisions, events)

    def _read(self, held: Connection) -> None:
        query = select(subscriptions.c.id, subscriptions.c.events, subscriptions.c.integration_id)
        found = held.execute(query.where(subscriptions.c.disabled_at.is_(None))).all()
        self._active = tuple(_Active(row.id, frozenset(json.loads(row.events)), row.integration_id) for row in found)
        self._wanted = frozenset().union(*(one.events for one in self._active))

    def _write(self, held: Connection, decisions: Sequence[DecisionRow], events: Sequence[Event]) -> None:
        now = now_us()
        added = []
        for one in told(held, self._wanted, decisions, events):
            receivers = [
                active.id
                for active in self._active
                if one.event in active.events and active.integration_id in (None, one.app_id)
            ]
            if receivers:
                said = body(one.event, one.data)
                added += [new_delivery(receiver, one.event, one.action_id, said, now) for receiver in receivers]
        if added:
            held.execute(insert(deliveries), added)
            wakeups.tell(held, wakeups.DELIVERIES)


def _tell(held: Connection, topics: Sequence[str]) -> str | None:
    """Let every process know of `topics`, once this is committed; the version of the subscriptions.

    One statement: nobody who subscribes to nothing pays for it. What another process committed before it is seen.
    """
    if held.dialect.name != "postgresql":
        found: str | None = held.exec_driver_sql(_VERSION).scalar()
        return found
    notifications = "".join(f", pg_notify('{wakeups.CHANNEL}', '{topic}')" for topic in topics)
    version: str | None = held.execute(text(f"SELECT ({_VERSION}){notifications}")).scalar()
    return version
