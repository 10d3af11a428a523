"""What people and consoles read. Aggregates come from the roll-ups, never from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from supervisor_guards.embedded import rows
from supervisor_guards.embedded.anchors import Anchor
from supervisor_guards.embedded.rollups import MINUTE_US, percentiles
from supervisor_guards.embedded.rows import Percentiles, Review, RuleTotal, StoredDecision, Total
from supervisor_guards.embedded.schema import (
    counts,
    decisions,
    drops,
    events,
    latencies,
    reviews,
    rule_counts,
    segments,
)

COMMON = {"outcome": "allow", "would_have": "allow", "status": "evaluated"}
"""What most rows say; the others are in a partial index."""


def select_decisions() -> Select[Any]:
    """Decisions with their results, those that came later included."""
    columns = [decisions.c[name] for name in ("id", *rows.COLUMNS) if name != "result"]
    late = (
        select(events.c.kind)
        .where(events.c.action_id == decisions.c.action_id, events.c.kind.in_(rows.RESULTS))
        .order_by(events.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return select(*columns, func.coalesce(decisions.c.result, late).label("result"))


def decision(connection: Connection, action_id: str) -> StoredDecision | None:
    row = connection.execute(select_decisions().where(decisions.c.action_id == action_id)).mappings().first()
    return rows.stored(dict(row)) if row else None


def page(
    connection: Connection,
    limit: int,
    before: int | None,
    after: int | None,
    rule: str | None,
    filters: dict[str, Any],
) -> list[StoredDecision]:
    query = select_decisions()
    for name, value in filters.items():
        if value is not None:
            query = query.where(*equals(name, value))
    if rule is not None:
        query = query.where(has_rule(connection, rule))
    if before is not None:
        query = query.where(decisions.c.id < before)
    if after is not None:
        query = query.where(decisions.c.id > after)
    query = query.order_by(decisions.c.id if after is not None else decisions.c.id.desc()).limit(limit)
    return [rows.stored(dict(row)) for row in connection.execute(query).mappings()]


def equals(name: str, value: Any) -> list[Any]:
    """That a decision has `value` in the column `name`, in words that let the planner use what index there is."""
    said: list[Any] = [decisions.c[name] == value]
    if name in COMMON and value != COMMON[name]:
        said.append(text(f"{decisions.name}.{name} <> '{COMMON[name]}'"))  # the words of the partial index
    return said


def has_rule(connection: Connection, rule: str) -> Any:
    """That the rule of this id hit."""
    if connection.dialect.name == "postgresql":
        return cast(decisions.c.rule_ids, JSONB).contains([rule])
    ids = func.json_each(decisions.c.rule_ids).table_valued("value")
    return exists(select(1).select_from(ids).where(ids.c.value == rule))


def review_page(
    connection: Connection, status: str | None, limit: int, before: int | None, after: int | None
) -> list[Review]:
    query = select(reviews).order_by(reviews.c.id if after is not None else reviews.c.id.desc()).limit(limit)
    if status is not None:
        query = query.where(reviews.c.status == status)
    if before is not None:
        query = query.where(reviews.c.id < before)
    if after is not None:
        query = query.where(reviews.c.id > after)
    return [rows.review(dict(row)) for row in connection.execute(query).mappings()]


def waiting(connection: Connection) -> int:
    """How many reviews are pending."""
    pending = select(func.count()).select_from(reviews).where(reviews.c.status == "pending")
    return int(connection.execute(pending).scalar_one())


def reviews_named(connection: Connection, prefix: str, limit: int) -> list[Review]:
    """Reviews whose action id begins with `prefix`, by its index."""
    named = and_(reviews.c.action_id >= prefix, reviews.c.action_id < prefix + "\U0010ffff")
    query = select(reviews).where(named).order_by(reviews.c.action_id).limit(limit)
    return [rows.review(dict(row)) for row in connection.execute(query).mappings()]


def totals(connection: Connection, since: int, by: Sequence[str]) -> list[Total]:
    c = counts.c
    refused = ("review", "deny")

    def of(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, c.count), else_=0)), 0)

    keys = [c[name] for name in by]
    query = select(
        *keys,
        func.coalesce(func.sum(c.count), 0).label("decisions"),
        of(and_(c.enforced, c.outcome.in_(refused))).label("blocked"),
        of(and_(~c.enforced, c.would_have.in_(refused))).label("would_block"),
        of(or_(and_(c.enforced, c.outcome == "review"), and_(~c.enforced, c.would_have == "review"))).label("review"),
        of(c.status == "unavailable").label("unavailable"),
        of(c.status == "unknown").label("unknown"),
    ).where(c.minute >= since // MINUTE_US)
    if keys:
        query = query.group_by(*keys).order_by(*keys)
    return [_total(dict(row)) for row in connection.execute(query).mappings()]


def _total(row: dict[str, Any]) -> Total:
    for name in ("decisions", "blocked", "would_block", "review", "unavailable", "unknown"):
        row[name] = int(row[name])  # PostgreSQL sums a bigint to numeric
    return Total(**row)


def rule_totals(connection: Connection, since: int, action_type: str | None) -> list[RuleTotal]:
    c = rule_counts.c
    keys = (c.action_type, c.mode, c.rule_id, c.verdict)
    total = func.sum(c.count)
    query = select(*keys, total).where(c.minute >= since // MINUTE_US).group_by(*keys)
    if action_type is not None:
        query = query.where(c.action_type == action_type)
    found = connection.execute(query.order_by(total.desc(), *keys))
    return [RuleTotal(*row[:4], int(row[4])) for row in found]


def latency(connection: Connection, since: int, action_type: str | None, mode: str | None) -> Percentiles:
    c = latencies.c
    query = select(c.bucket, func.sum(c.count)).where(c.minute >= since // MINUTE_US).group_by(c.bucket)
    if action_type is not None:
        query = query.where(c.action_type == action_type)
    if mode is not None:
        query = query.where(c.mode == mode)
    return percentiles({bucket: int(count) for bucket, count in connection.execute(query)})


def dropped(connection: Connection, since: int) -> int:
    query = select(func.coalesce(func.sum(drops.c.count), 0)).where(drops.c.time >= since)
    return int(connection.execute(query).scalar_one())


def case_ids(connection: Connection, action_ids: Sequence[str]) -> dict[str, str | None]:
    """Those of `action_ids` that have a decision row, each with the review it waits for."""
    found: dict[str, str | None] = {}
    for start in range(0, len(action_ids), 500):
        chunk = decisions.c.action_id.in_(action_ids[start : start + 500])
        known = connection.execute(select(decisions.c.action_id, decisions.c.case_id).where(chunk))
        found.update((row.action_id, row.case_id) for row in known)
    return found


def anchor(connection: Connection) -> Anchor | None:
    """The newest segment."""
    columns = [segments.c[name] for name in Anchor.__struct_fields__]
    found = connection.execute(select(*columns).order_by(segments.c.segment.desc()).limit(1)).first()
    return None if found is None else Anchor(*found)
