"""One store may serve several applications: reviews know whose they are, and each lists its own by an index.

They have a priority too: the older ones that of a rule which says none.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NORMAL = 2
_KEPT = (
    "id", "action_id", "created_at", "expires_at", "status", "digest", "subject", "tenant", "requester",
    "action_type", "route", "payload", "reasons", "approver", "notes", "resolved_at", "used_at", "segment",
)  # fmt: skip


def upgrade() -> None:
    for name in ("status", "due", "digest", "segment"):
        op.drop_index(f"sg_reviews_{name}", "sg_reviews")
    op.rename_table("sg_reviews", "sg_reviews_nobodys")
    if op.get_bind().dialect.name == "postgresql":
        # The names of a renamed table's constraints stay, and the new one wants them.
        op.execute("ALTER TABLE sg_reviews_nobodys DROP CONSTRAINT sg_reviews_action_id_key")
        op.execute("ALTER TABLE sg_reviews_nobodys RENAME CONSTRAINT sg_reviews_pkey TO sg_reviews_nobodys_pkey")
        op.execute("ALTER SEQUENCE sg_reviews_id_seq RENAME TO sg_reviews_nobodys_id_seq")
    op.create_table(
        "sg_reviews",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column(
            "action_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False, unique=True
        ),
        sa.Column("app_id", sa.Text, nullable=False),
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
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("approver", sa.Text),
        sa.Column("notes", sa.Text),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("segment", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    kept = ", ".join(_KEPT)
    op.execute(
        f"INSERT INTO sg_reviews (app_id, priority, {kept}) "  # noqa: S608 - our own names
        f"SELECT coalesce((SELECT app_id FROM sg_decisions d WHERE d.action_id = r.action_id), ''), {_NORMAL}, "
        f"{', '.join('r.' + name for name in _KEPT)} FROM sg_reviews_nobodys r"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "SELECT setval(pg_get_serial_sequence('sg_reviews', 'id'), coalesce((SELECT max(id) FROM sg_reviews), 0) "
            "+ 1, false)"
        )
    op.drop_table("sg_reviews_nobodys")
    op.create_index("sg_reviews_status", "sg_reviews", ["status", "id"])
    op.create_index("sg_reviews_queue", "sg_reviews", ["status", "priority", "id"])
    op.create_index("sg_reviews_app", "sg_reviews", ["app_id", "status", "id"])
    op.create_index("sg_reviews_resolved", "sg_reviews", ["app_id", "status", "resolved_at"])
    op.create_index("sg_reviews_latest", "sg_reviews", ["status", "resolved_at"])
    op.create_index("sg_reviews_due", "sg_reviews", ["status", "expires_at"])
    op.create_index("sg_reviews_digest", "sg_reviews", ["digest"])
    op.create_index("sg_reviews_segment", "sg_reviews", ["segment"])
    op.create_index("sg_decisions_app", "sg_decisions", ["app_id", "id"])
