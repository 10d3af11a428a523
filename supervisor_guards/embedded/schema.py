"""The tables, once for SQLite and PostgreSQL. A change here needs a migration, and `VERSION` one more.

It needs a migration of the Django adapter's too: a test compares what the two make.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, SmallInteger, Table, Text, text

VERSION = 3
"""What `PRAGMA user_version` (SQLite) or `sg_meta` (PostgreSQL) says when the schema is current."""

metadata = MetaData()

# SQLite numbers rows by itself only in a column declared INTEGER.
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")

# The C order of characters lets an index find the ids that begin so.
_ID = Text().with_variant(Text(collation="C"), "postgresql")


def _partial(name: str, column: str, common: str) -> Index:
    """An index of the rows where `column` is anything but `common`."""
    rest = text(f"{column} <> '{common}'")
    return Index(name, column, "id", sqlite_where=rest, postgresql_where=rest)


decisions = Table(
    "sg_decisions",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("action_id", Text, nullable=False, unique=True),
    Column("time", BigInteger, nullable=False),
    Column("app_id", Text, nullable=False),
    Column("action_type", Text, nullable=False),
    Column("route", Text),
    Column("subject", Text),
    Column("tenant", Text),
    Column("mode", Text, nullable=False),
    Column("enforced", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("would_have", Text),
    Column("status", Text, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("rule_ids", Text, nullable=False),
    Column("hits", Text, nullable=False),
    Column("policy_name", Text),
    Column("policy_version", Text),
    Column("policy_hash", Text),
    Column("sample_bucket", Integer),
    Column("payload", Text),
    Column("context", Text),
    Column("digest", Text),
    Column("latency_us", BigInteger, nullable=False),
    Column("result", Text),
    Column("case_id", Text),
    Column("segment", BigInteger, nullable=False),
    Column("mac", Text, nullable=False),
    # What is rare has a small index of its own, and what is common is found at once from the newest row back.
    Index("sg_decisions_action", "action_type", "id"),
    Index("sg_decisions_app", "app_id", "id"),
    _partial("sg_decisions_refused", "outcome", "allow"),
    _partial("sg_decisions_would", "would_have", "allow"),
    _partial("sg_decisions_failed", "status", "evaluated"),
    # A purged number never returns: a cursor that `--follow` holds stays good.
    sqlite_autoincrement=True,
)

# What happened to an action after its decision. Rows are only ever added.
events = Table(
    "sg_events",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("action_id", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text),
    Column("notes", Text),
    Column("until", BigInteger),
    Column("segment", BigInteger, nullable=False),
    Column("mac", Text, nullable=False),
    Index("sg_events_action", "action_id", "id"),
    sqlite_autoincrement=True,
)

segments = Table(
    "sg_segments",
    metadata,
    Column("segment", _SERIAL, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("decisions", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("head", Text, nullable=False),
    Column("key_id", Text, nullable=False),
)

tombstones = Table(
    "sg_tombstones",
    metadata,
    Column("segment", _SERIAL, primary_key=True, autoincrement=False),
    Column("head", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("decisions", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("mac", Text, nullable=False),
)

reviews = Table(
    "sg_reviews",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("action_id", _ID, nullable=False, unique=True),
    Column("app_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("digest", Text),
    Column("subject", Text),
    Column("tenant", Text),
    Column("requester", Text),
    Column("action_type", Text, nullable=False),
    Column("route", Text),
    Column("payload", Text),
    Column("reasons", Text, nullable=False),
    # The place of the word in `PRIORITIES`: those to look at first have the smallest, so the queue is this index.
    Column("priority", SmallInteger, nullable=False),
    Column("approver", Text),
    Column("notes", Text),
    Column("resolved_at", BigInteger),
    Column("used_at", BigInteger),
    Column("segment", BigInteger, nullable=False),
    Index("sg_reviews_status", "status", "id"),
    Index("sg_reviews_queue", "status", "priority", "id"),
    Index("sg_reviews_app", "app_id", "status", "id"),
    Index("sg_reviews_resolved", "app_id", "status", "resolved_at"),
    Index("sg_reviews_latest", "status", "resolved_at"),
    Index("sg_reviews_due", "status", "expires_at"),
    Index("sg_reviews_digest", "digest"),
    Index("sg_reviews_segment", "segment"),
    sqlite_autoincrement=True,
)

# Roll-ups: '' stands for no value, since a primary key holds no null.
counts = Table(
    "sg_counts",
    metadata,
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("app_id", Text, primary_key=True),
    Column("action_type", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("mode", Text, primary_key=True),
    Column("enforced", Boolean, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("would_have", Text, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

rule_counts = Table(
    "sg_rule_counts",
    metadata,
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("action_type", Text, primary_key=True),
    Column("mode", Text, primary_key=True),
    Column("rule_id", Text, primary_key=True),
    Column("verdict", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

latencies = Table(
    "sg_latencies",
    metadata,
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("action_type", Text, primary_key=True),
    Column("mode", Text, primary_key=True),
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
)

drops = Table(
    "sg_drops",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("time", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index("sg_drops_time", "time"),
    sqlite_autoincrement=True,
)

meta = Table(
    "sg_meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

BESIDE: tuple[Table, ...] = (segments, events, counts, rule_counts, latencies, drops)
"""What a batch writes beside its decision rows, all of it from one JSON document."""


def conflict(table: Table) -> str:
    """What happens to a row of `BESIDE` that is there already: counts add up, anything else is an error."""
    key = ", ".join(column.name for column in table.primary_key if column.autoincrement is not True)
    if not key or "count" not in table.c:
        return ""
    return f" ON CONFLICT ({key}) DO UPDATE SET count = {table.name}.count + excluded.count"


def names(table: Table) -> tuple[str, ...]:
    """The columns that a batch gives a row of `table`: all but the number that the database counts up."""
    return tuple(column.name for column in table.c if not (column.primary_key and column.autoincrement is True))
