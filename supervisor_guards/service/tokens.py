"""The administrator's first token: made once for a database, whichever process comes first, and told once."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert, select

from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.acts import act
from supervisor_guards.service.schema import tokens as table
from supervisor_guards.service.vault import hashed, new_token

__all__ = ["ADMIN", "first_admin_token"]

ADMIN = "admin token"
"""How the record names who calls with it."""


def first_admin_token(store: Store) -> str | None:
    """The administrator's token, where it was just made; None where there is one already. Only its hash is kept."""
    token = new_token("sga")

    def work(held: Connection, note: Callable[[Event], None]) -> str | None:
        known = select(table.c.hash).where(table.c.person_id.is_(None), table.c.revoked_at.is_(None)).limit(1)
        if held.execute(known).first() is not None:
            return None
        held.execute(insert(table).values(hash=hashed(token), label=ADMIN, created_at=now_us()))
        note(act("token", ADMIN, "first start", "made the administrator's token"))
        return token

    return store.transact(work)
