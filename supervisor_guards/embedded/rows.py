"""What goes into the store and what comes out. Times are whole microseconds since the epoch, UTC."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from supervisor_guards._model import PRIORITIES, Hit
from supervisor_guards._records import DecisionRow, Review, StoredDecision, clean_text

__all__ = [
    "DecisionRow", "Percentiles", "Review", "RuleTotal", "StoredDecision", "Total", "clean_text", "now_us",
]  # fmt: skip

_encode = msgspec.json.Encoder().encode
reasons = msgspec.json.Decoder(tuple[str, ...]).decode
hits = msgspec.json.Decoder(tuple[Hit, ...]).decode


EventKind = Literal[
    "returned", "raised", "not-run",
    "pending", "approved", "rejected", "abandoned", "expired", "used", "executed", "refused",
    "act",
]  # fmt: skip
"""A result that came after its row; the status that a review got; a refused try to use its approval; or what an
administrator did, which belongs to no action (`action_id` names what it was done to)."""
RESULTS = ("returned", "raised", "not-run")


def now_us() -> int:
    """The time, in microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an action after its decision. Events are only ever added."""

    action_id: str
    time: int
    kind: EventKind
    actor: str | None = None
    """Who did it: the reviewer, for a resolution."""
    notes: str | None = None
    until: int | None = None
    """A review's end: of a case that opened, or of an approval."""


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of decisions that share the columns grouped by; the other columns are None."""

    minute: int | None = None
    """Minutes since the epoch."""
    app_id: str | None = None
    action_type: str | None = None
    route: str | None = None
    mode: str | None = None
    decisions: int
    blocked: int
    """Enforced, and not allowed."""
    would_block: int
    """Not enforced, and enforce would not have allowed it."""
    review: int
    """Decisions, enforced or not, whose verdict was review; part of the two above."""
    unavailable: int
    unknown: int


class RuleTotal(msgspec.Struct, frozen=True):
    """How often a rule hit."""

    action_type: str
    mode: str
    rule_id: str
    verdict: str
    count: int


class Percentiles(msgspec.Struct, frozen=True):
    """Latency in microseconds, within 1/32 of the true value; None where nothing was decided."""

    p50: int | None
    p95: int | None
    p99: int | None
    count: int


GROUPS = ("minute", "app_id", "action_type", "route", "mode")
FILTERS = ("app_id", "action_type", "route", "subject", "mode", "outcome", "would_have", "status", "enforced")


def check_groups(by: Sequence[str]) -> None:
    """Raises `ValueError` for a column totals can't be grouped by."""
    for name in by:
        if name not in GROUPS:
            raise ValueError(f"totals by {name!r}: choose from {', '.join(GROUPS)}")


def check_filters(filters: dict[str, Any]) -> None:
    """Raises `TypeError` for a column decisions can't be filtered by."""
    for name in filters:
        if name not in FILTERS:
            raise TypeError(f"decisions by {name!r}: choose from {', '.join((*FILTERS, 'rule'))}")


COLUMNS: tuple[str, ...] = DecisionRow.__struct_fields__


def parameters(row: DecisionRow) -> tuple[Any, ...]:
    """The values of `row` in the order of `COLUMNS`."""
    return (
        row.action_id, row.time, row.app_id, row.action_type, row.route, row.subject, row.tenant, row.mode,
        row.enforced, row.outcome, row.would_have, row.status,
        _encode(row.reasons).decode() if row.reasons else "[]",
        _encode(row.rule_ids).decode() if row.rule_ids else "[]",
        _encode(row.hits).decode() if row.hits else "[]",
        row.policy_name, row.policy_version, row.policy_hash, row.sample_bucket, row.payload, row.context,
        row.digest, row.latency_us, row.result, row.case_id,
    )  # fmt: skip


def event_values(event: Event) -> tuple[Any, ...]:
    """The values of `event` in the order of its fields."""
    return event.action_id, event.time, event.kind, event.actor, event.notes, event.until


def clean_event(event: Event) -> Event:
    """`event` with every text of a request or a person cleaned."""
    texts = {"action_id": event.action_id, "actor": event.actor, "notes": event.notes}
    return msgspec.structs.replace(event, **{name: text and clean_text(text) for name, text in texts.items()})


def stored(values: dict[str, Any]) -> StoredDecision:
    """A row as the database gives it."""
    values["reasons"] = reasons(values["reasons"])
    values["rule_ids"] = reasons(values["rule_ids"])
    values["hits"] = hits(values["hits"])
    values["enforced"] = bool(values["enforced"])
    return StoredDecision(**values)


def review(values: dict[str, Any]) -> Review:
    """A review as the database gives it. A priority that somebody edited into none is the nearest there is."""
    values["reasons"] = reasons(values["reasons"])
    values["priority"] = PRIORITIES[min(max(values["priority"], 0), len(PRIORITIES) - 1)]
    return Review(**values)


def as_json(value: Any) -> str:
    """JSON text."""
    return _encode(value).decode()


def clean(row: DecisionRow) -> DecisionRow:
    """`row` with every text cleaned, so that what a request carries can't cost the batch it travels in."""

    def scrub(value: Any) -> Any:
        if isinstance(value, str):
            return clean_text(value)
        if isinstance(value, tuple):
            return tuple(map(scrub, value))
        if isinstance(value, Hit):
            said = msgspec.structs.asdict(value).items()
            return Hit(**{name: text and clean_text(text) for name, text in said})
        return value

    return DecisionRow(**{name: scrub(getattr(row, name)) for name in COLUMNS})


def replace(record: Review, **changes: Any) -> Review:
    """`record` with some fields changed."""
    return msgspec.structs.replace(record, **changes)


def with_case(row: DecisionRow, case_id: str) -> DecisionRow:
    """`row`, waiting for the review of `case_id`."""
    return msgspec.structs.replace(row, case_id=case_id)
