"""The service's own tables, beside the record's in one database. A change here needs a migration and `VERSION`.

Times are microseconds since the epoch, UTC. Secrets are encrypted (`secrets`), tokens only hashed.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, Text

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

# Policy documents. Their text never changes; of all versions that claim an action type at most one is promoted.
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

subscriptions = Table(
    "sv_subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("integration_id", Text, ForeignKey("sv_integrations.id")),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("disabled_at", BigInteger),
)

# The outbox: written in the transaction of the event it tells of, delivered afterwards.
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
    Column("created_at", BigInteger, nullable=False),
    Column("answered_at", BigInteger),
    Column("answer", Text),
    Index("sv_deliveries_due", "status", "next_at"),
    Index("sv_deliveries_subscription", "subscription_id", "id"),
    sqlite_autoincrement=True,
)
