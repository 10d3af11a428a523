"""Tokens that programs hold: the administrator's, made once for a database, and those that people make for theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.acts import act
from supervisor_guards.service.people import person_of
from supervisor_guards.service.principals import Person
from supervisor_guards.service.schema import people
from supervisor_guards.service.schema import tokens as table
from supervisor_guards.service.vault import hashed, new_token

__all__ = ["ADMIN", "PREFIX", "PersonTokens", "StoredToken", "first_admin_token"]

ADMIN = "admin token"
"""How the record names who calls with it."""
PREFIX = "sgr"
"""What a person's token begins with."""
MAX_LABEL = 100
MAX_DAYS = 3_650
MOST = 50
"""Tokens of one person that are in use."""
SHOWN = 500
_ID = 16
"""Characters of a token's hash that name it."""


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


class StoredToken(msgspec.Struct, frozen=True):
    """A person's token for a program, without the token. Times are in microseconds."""

    id: str
    person_id: str
    label: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None


class PersonTokens:
    """The tokens that people made for programs which act for them. Only hashes are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, person_id: str, label: str, by: str, days: float | None = None) -> tuple[StoredToken, str]:
        """A new token, told this once. Raises `ValueError` for a label or a time that can't be, and for too many."""
        if not label.strip() or len(label) > MAX_LABEL or not label.isprintable():
            raise ValueError(f"label: give 1 to {MAX_LABEL} printable characters")
        if days is not None and not 0 < days <= MAX_DAYS:
            raise ValueError(f"days: give a number above 0, up to {MAX_DAYS}, or none for no end")
        token = new_token(PREFIX)
        now = now_us()
        until = None if days is None else now + int(days * 86_400_000_000)

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            active = people.c.disabled_at.is_(None)
            if held.execute(select(people.c.id).where(people.c.id == person_id, active)).first() is None:
                raise LookupError("person not found or disabled")
            valid = select(func.count()).where(table.c.person_id == person_id, table.c.revoked_at.is_(None))
            if (held.execute(valid).scalar() or 0) >= MOST:
                raise ValueError(f"label: there are {MOST} tokens already, the most there can be: revoke one first")
            values = {"hash": hashed(token), "label": label, "created_at": now, "expires_at": until}
            held.execute(insert(table).values(person_id=person_id, **values))
            note(act("person", person_id, by, f"made the token {label!r}, {hashed(token)[:_ID]}"))

        self._store.transact(work)
        return StoredToken(hashed(token)[:_ID], person_id, label, now, until, None), token

    def list(self, person_id: str) -> list[StoredToken]:
        """The tokens of a person, revoked ones too, newest first."""
        query = select(table).where(table.c.person_id == person_id).order_by(table.c.created_at.desc()).limit(SHOWN)
        with self._store.reading() as held:
            rows = held.execute(query).all()
        return [_stored(row) for row in rows]

    def revoke(self, token_id: str, by: str, person_id: str | None = None) -> StoredToken:
        """End a token; one of `person_id` alone where it is given. Raises `LookupError`."""

        def work(held: Connection, note: Callable[[Event], None]) -> StoredToken:
            own = table.c.person_id.is_not(None) if person_id is None else table.c.person_id == person_id
            # The id is the beginning of the hash, and what it may begin with is a range of the primary key.
            chosen = (table.c.hash >= token_id, table.c.hash < token_id + "g", own)
            row = held.execute(select(table).where(*chosen)).first() if len(token_id) == _ID else None
            if row is None:
                raise LookupError("token not found")
            if row.revoked_at is None:
                held.execute(update(table).where(table.c.hash == row.hash).values(revoked_at=now_us()))
                note(act("person", row.person_id, by, f"revoked the token {row.label!r}, {token_id}"))
            return _stored(held.execute(select(table).where(table.c.hash == row.hash)).one())

        return self._store.transact(work)

    def holder(self, token: str) -> Person | None:
        """Whose token this is; None where it is nobody's, or over, or its person is shut out."""
        columns = (people.c.id, people.c.name, people.c.role, people.c.known_as)
        query = (
            select(*columns)
            .join(table, table.c.person_id == people.c.id)
            .where(table.c.hash == hashed(token), table.c.revoked_at.is_(None), people.c.disabled_at.is_(None))
            .where((table.c.expires_at.is_(None)) | (table.c.expires_at > now_us()))
        )
        with self._store.reading() as held:
            row = held.execute(query).first()
        return None if row is None else person_of(row, "token")


def _stored(row: Any) -> StoredToken:
    times = (row.created_at, row.expires_at, row.revoked_at)
    return StoredToken(row.hash[:_ID], row.person_id, row.label, *times)
