"""Counts of drops are numbered: a row without a key can't be an object of an application's own mapper."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("sg_drops_time", "sg_drops")
    op.rename_table("sg_drops", "sg_drops_unnumbered")
    op.create_table(
        "sg_drops",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.execute('INSERT INTO sg_drops ("time", "count", reason) SELECT "time", "count", reason FROM sg_drops_unnumbered')
    op.drop_table("sg_drops_unnumbered")
    op.create_index("sg_drops_time", "sg_drops", ["time"])
