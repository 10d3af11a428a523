"""The events that webhooks tell of, and what each says of the rows that were just added to the record."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from supervisor_guards.embedded import reviews, rows, transitions
from supervisor_guards.embedded.bundle import iso
from supervisor_guards.embedded.rows import DecisionRow, Event
from supervisor_guards.service.items import decision_item, review_item
from supervisor_guards.service.reading import decisions_of

__all__ = ["EVENTS", "PUBLISHED", "TEST", "Told", "body", "told"]

PUBLISHED = ("decision.made", "action.denied", "review.resolved", "threat.detected")
"""Version 1's. No detector is built yet: `threat.detected` is taken, and never sent."""
EVENTS = (*PUBLISHED, "review.requested", "administration.changed")
TEST = "webhook.test"
"""What an administrator sends to try a receiver; nobody subscribes to it."""

MAX_BODY = 262_144
_ENDS = ("approved", "rejected", "abandoned", "expired", "executed")
_LOOKED_UP = 500
_encode = msgspec.json.Encoder().encode


class Told(msgspec.Struct, frozen=True):
    """One event. `app_id` is the integration it is about, None where it is about none."""

    event: str
    app_id: str | None
    action_id: str
    data: dict[str, Any]


def told(
    held: Connection, wanted: Collection[str], decisions: Sequence[DecisionRow], events: Sequence[Event]
) -> Iterator[Told]:
    """The `wanted` events that `decisions` and `events`, added in this transaction, stand for."""
    for row in decisions:
        if "decision.made" in wanted:
            yield Told("decision.made", row.app_id, row.action_id, decision_item(row))
        if "action.denied" in wanted and row.enforced and row.outcome == "deny":
            yield Told("action.denied", row.app_id, row.action_id, decision_item(row))
    if "review.requested" in wanted:
        yield from _requested(decisions, events)
    if "review.resolved" in wanted:
        yield from _resolved(held, events)
    if "administration.changed" in wanted:
        for event in events:
            if event.kind == "act":
                kind, _, subject = event.action_id.partition(":")
                said = {"kind": kind, "id": subject, "by": event.actor, "what": event.notes, "at": iso(event.time)}
                yield Told("administration.changed", None, event.action_id, said)


def body(event: str, data: dict[str, Any]) -> str:
    """`{"event", "data"}` as JSON. Of what is larger than `MAX_BODY` bytes the largest fields are null, and named
    under `omitted`: they can be read over the API.
    """
    encoded = _encode({"event": event, "data": data})
    omitted: list[str] = []
    while len(encoded) > MAX_BODY:
        kept = {name: value for name, value in data.items() if name not in omitted}
        omitted.append(max(kept, key=lambda name: len(_encode(kept[name]))))
        encoded = _encode({"event": event, "data": {**data, **dict.fromkeys(omitted), "omitted": omitted}})
    return encoded.decode()


def _requested(decisions: Sequence[DecisionRow], events: Sequence[Event]) -> Iterator[Told]:
    """Reviews that opened: in the same batch as their decisions, and not among the stored ones yet."""
    opened = {event.action_id: event for event in events if event.kind == "pending"}
    for row in decisions:
        event = opened.get(row.action_id)
        if event is not None:
            review = rows.review({"id": 0, **transitions.opened(row, event.until or 0, event.actor)})
            yield Told("review.requested", row.app_id, row.action_id, review_item(review, row))


def _resolved(held: Connection, events: Sequence[Event]) -> Iterator[Told]:
    ended = [event for event in events if event.kind in _ENDS]
    for start in range(0, len(ended), _LOOKED_UP):
        some = ended[start : start + _LOOKED_UP]
        decided = decisions_of(held, [event.action_id for event in some])
        for event in some:
            review = reviews.find(held, event.action_id)
            # An approval that nobody used in time, or that came too late, was told when it was given.
            late = event.kind in ("expired", "executed") and review is not None and review.approver is not None
            if review is not None and not late:
                item = review_item(review, decided.get(event.action_id))
                yield Told("review.resolved", review.app_id, event.action_id, item)
