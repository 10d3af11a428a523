"""The service's own tables, beside the record's in one database. A change here needs a migration and `VERSION`.

Times are microseconds since the epoch, UTC. Secrets are encrypted (`secrets`), tokens only hashed.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, Text, text

VERSION = 1
"""What `sg_meta` says under `service` when these tables are current."""

metadata = MetaData()

_SERIAL = BigInteger().with_variant(Integer(), "sqlite")

# Applications. One that was revoked keeps its row: its decisions name it.
integrations = Table(
    "sv_integrations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("former_secret", Text),
    Column("former_until", BigInteger),
    Column("resolves_own", Boolean, nullable=False),
    Column("per_minute", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("revoked_at", BigInteger),
)

# Policy documents. Their text never changes.
policies = Table(
    "sv_policies",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("action_types", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("promoted_at", BigInteger),
    Column("retired_at", BigInteger),
    Index("sv_policies_label", "name", "version", unique=True),
    Index("sv_policies_created", "created_at", "id"),
)

# What each version judges. Of all that claim an action type one is in force: the database itself sees to it.
policy_actions = Table(
    "sv_policy_actions",
    metadata,
    Column("action_type", Text, primary_key=True),
    Column("policy_id", Text, ForeignKey("sv_policies.id"), primary_key=True),
    Column("in_force", Boolean, nullable=False),
    Index("sv_policy_actions_policy", "policy_id"),
    Index(
        "sv_policy_actions_one",
        "action_type",
        unique=True,
        sqlite_where=text("in_force"),
        postgresql_where=text("in_force"),
    ),
)

# Viewers, reviewers and administrators. Without a password they come through a trusted proxy, or by token. `login` is
# the name folded: what is looked up. `known_as` is a JSON list: their names in applications.
people = Table(
    "sv_people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("login", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("password", Text),
    Column("known_as", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("disabled_at", BigInteger),
)

# Tokens for programs: the administrator's (no person), and those a person made for a reviewing program.
tokens = Table(
    "sv_tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("sv_people.id")),
    Column("label", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Index("sv_tokens_person", "person_id"),
)

sessions = Table(
    "sv_sessions",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("sv_people.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("sv_sessions_expires", "expires_at"),
    Index("sv_sessions_person", "person_id"),
)

# Failed sign-ins and requests, counted in windows (their first microsecond) that every process shares.
windows = Table(
    "sv_windows",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("window", BigInteger, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    Index("sv_windows_window", "window"),
)

# Who is told of events. A disabled one keeps its row: its deliveries name it.
subscriptions = Table(
    "sv_subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("integration_id", Text, ForeignKey("sv_integrations.id")),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("former_secret", Text),
    Column("former_until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("disabled_at", BigInteger),
    Index("sv_subscriptions_created", "created_at", "id"),
    Index(
        "sv_subscriptions_active",
        "id",
        sqlite_where=text("disabled_at IS NULL"),
        postgresql_where=text("disabled_at IS NULL"),
    ),
)

# The outbox: written in the transaction of the event it tells of, delivered afterwards. A process that is at it
# wrote its `lease`; `next_at` is then when others may take it over.
deliveries = Table(
    "sv_deliveries",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("subscription_id", Text, ForeignKey("sv_subscriptions.id"), nullable=False),
    Column("event", Text, nullable=False),
    Column("action_id", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("lease", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("answered_at", BigInteger),
    Column("answer", Text),
    Index(
        "sv_deliveries_due",
        "subscription_id",
        "next_at",
        sqlite_where=text("status = 'pending'"),
        postgresql_where=text("status = 'pending'"),
    ),
    Index("sv_deliveries_subscription", "subscription_id", "id"),
    Index("sv_deliveries_status", "subscription_id", "status", "id"),
    sqlite_autoincrement=True,
)

ACT_INDEXES: dict[str, tuple[tuple[str, ...], str]] = {
    "sv_acts": (("id",), "kind = 'act'"),
    "sv_acts_by": (("actor", "id"), "kind = 'act'"),
    **{
        f"sv_acts_{kind}": (("id",), f"kind = 'act' AND substr(action_id, 1, {len(kind) + 1}) = '{kind}:'")
        for kind in ("integration", "person", "policy", "token", "webhook")
    },
}
"""What administrators did are events of the record: the indexes of these alone that its table, `sg_events`, has in a
service's database, each with its columns and its condition."""

# How often a delivery ended so: counters, which outlive the deliveries.
delivery_ends = Table(
    "sv_delivery_ends",
    metadata,
    Column("status", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# What `tallies` adds up, for the API's metrics.
latencies = Table(
    "sv_latencies",
    metadata,
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("app_id", Text, primary_key=True),
    Column("action_type", Text, primary_key=True),
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
)

approvals = Table(
    "sv_approvals",
    metadata,
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("app_id", Text, primary_key=True),
    Column("action_type", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)
