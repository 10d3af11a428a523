"""Sums that the API's metrics are read from, added in the transaction of what they count.

The record's own roll-ups count decisions per application, but hold one latency histogram for all of them, and don't
count approvals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, select

from supervisor_guards._histogram import bucket_of
from supervisor_guards.embedded.rollups import MINUTE_US
from supervisor_guards.embedded.rows import DecisionRow, Event
from supervisor_guards.embedded.schema import conflict, reviews
from supervisor_guards.service.schema import approvals, latencies

__all__ = ["tally"]

_encode = msgspec.json.Encoder().encode
_TYPES = {"minute": "bigint", "app_id": "text", "action_type": "text", "bucket": "integer", "count": "bigint"}


def tally(held: Connection, decisions: Sequence[DecisionRow], events: Sequence[Event]) -> None:
    """Count `decisions` and `events` in. A decision that nobody could judge has no latency."""
    taken = Counter(
        (row.time // MINUTE_US, row.app_id, row.action_type, bucket_of(row.latency_us))
        for row in decisions
        if row.status != "unknown"
    )
    if taken:
        _add(held, latencies, taken)
    approved = [event.action_id for event in events if event.kind == "approved"]
    if approved:
        # Counted where the block is, so that a window never has more approvals than blocks.
        columns = reviews.c.created_at, reviews.c.app_id, reviews.c.action_type
        asked = held.execute(select(*columns).where(reviews.c.action_id.in_(approved)))
        _add(held, approvals, Counter((made // MINUTE_US, app_id, action_type) for made, app_id, action_type in asked))


def _add(held: Connection, table: Table, sums: Mapping[tuple[Any, ...], int]) -> None:
    rows = _encode([[*key, count] for key, count in sums.items()]).decode()
    held.exec_driver_sql(_STATEMENTS[held.dialect.name, table.name], (rows,))


def _statement(dialect: str, table: Table) -> str:
    """One upsert of many sums, which come as a JSON list of rows."""
    names = [column.name for column in table.c]
    if dialect == "sqlite":
        # WHERE true: without it SQLite takes ON for the join's.
        reads = ", ".join(f"json_extract(value, '$[{number}]')" for number in range(len(names)))
        rows = "json_each(?) WHERE true"
    else:
        reads = ", ".join(f"(value->>{number})::{_TYPES[name]}" for number, name in enumerate(names))
        rows = "json_array_elements(%s::json) AS value"
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {reads} FROM {rows}{conflict(table)}"  # noqa: S608


_STATEMENTS = {
    (dialect, table.name): _statement(dialect, table)
    for dialect in ("sqlite", "postgresql")
    for table in (latencies, approvals)
}
