"""Decisions, events, their chain, reviews, and the roll-ups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "sg_decisions",
        sa.Column("id", serial, primary_key=True, autoincrement=True),
        sa.Column("action_id", sa.Text, nullable=False, unique=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("app_id", sa.Text, nullable=False),
        sa.Column("action_type", sa.Text, nullable=False),
        sa.Column("route", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("tenant", sa.Text),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("enforced", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("would_have", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("rule_ids", sa.Text, nullable=False),
        sa.Column("hits", sa.Text, nullable=False),
        sa.Column("policy_name", sa.Text),
        sa.Column("policy_version", sa.Text),
        sa.Column("policy_hash", sa.Text),
        sa.Column("sample_bucket", sa.Integer),
        sa.Column("payload", sa.Text),
        sa.Column("context", sa.Text),
        sa.Column("digest", sa.Text),
        sa.Column("latency_us", sa.BigInteger, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("case_id", sa.Text),
        sa.Column("segment", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("sg_decisions_action", "sg_decisions", ["action_type", "id"])
    for name, column, condition in (
        ("sg_decisions_refused", "outcome", "outcome <> 'allow'"),
        ("sg_decisions_would", "would_have", "would_have <> 'allow'"),
        ("sg_decisions_failed", "status", "status <> 'evaluated'"),
    ):
        where = sa.text(condition)
        op.create_index(name, "sg_decisions", [column, "id"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "sg_events",
        sa.Column("id", serial, primary_key=True, autoincrement=True),
        sa.Column("action_id", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text),
        sa.Column("notes", sa.Text),
        sa.Column("until", sa.BigInteger),
        sa.Column("segment", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("sg_events_action", "sg_events", ["action_id", "id"])
    op.create_table(
        "sg_segments",
        sa.Column("segment", serial, primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("decisions", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("head", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
    )
    op.create_table(
        "sg_tombstones",
        sa.Column("segment", serial, primary_key=True, autoincrement=False),
        sa.Column("head", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("decisions", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("mac", sa.Text, nullable=False),
    )
    op.create_table(
        "sg_reviews",
        sa.Column("id", serial, primary_key=True, autoincrement=True),
        sa.Column(
            "action_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False, unique=True
        ),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("tenant", sa.Text),
        sa.Column("requester", sa.Text),
        sa.Column("action_type", sa.Text, nullable=False),
        sa.Column("route", sa.Text),
        sa.Column("payload", sa.Text),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("approver", sa.Text),
        sa.Column("notes", sa.Text),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("segment", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("sg_reviews_status", "sg_reviews", ["status", "id"])
    op.create_index("sg_reviews_due", "sg_reviews", ["status", "expires_at"])
    op.create_index("sg_reviews_digest", "sg_reviews", ["digest"])
    op.create_index("sg_reviews_segment", "sg_reviews", ["segment"])
    op.create_table(
        "sg_counts",
        sa.Column("minute", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("app_id", sa.Text, primary_key=True),
        sa.Column("action_type", sa.Text, primary_key=True),
        sa.Column("route", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("enforced", sa.Boolean, primary_key=True),
        sa.Column("outcome", sa.Text, primary_key=True),
        sa.Column("would_have", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sg_rule_counts",
        sa.Column("minute", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("action_type", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("rule_id", sa.Text, primary_key=True),
        sa.Column("verdict", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sg_latencies",
        sa.Column("minute", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("action_type", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sg_drops",
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("sg_drops_time", "sg_drops", ["time"])
    op.create_table(
        "sg_meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
