"""People with accounts: made, listed, disabled, given a role or a password; each act is in the record."""

from __future__ import annotations

import json
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from typing import Any, get_args

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from supervisor_guards.embedded.rows import Event, clean_text, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.acts import act
from supervisor_guards.service.principals import ROLES, Person, Role, Via
from supervisor_guards.service.schema import people as table
from supervisor_guards.service.schema import sessions, tokens

__all__ = ["LastAdministrator", "People", "PersonTaken", "StoredPerson", "login_of", "person_of"]

MAX_NAME = 200
_LONGEST_TYPED = 2_000
"""Characters of a name as keyboards and proxies may write it, with accents apart. Python puts a run of accents in
order in time that grows as the square of its length, and holds up every other thread meanwhile."""
MAX_KNOWN_AS = 50
MOST = 10_000
"""People of one service."""
# How the record names callers that are no people: nobody may look like one of them.
_RESERVED = ("admin token", "command line", "first start", "integration ")


class PersonTaken(ValueError):
    """Somebody has the name."""


class LastAdministrator(ValueError):
    """Nobody could administer the service any more, but for the administrator's token."""


class StoredPerson(msgspec.Struct, frozen=True):
    """A row. `known_as` is a JSON list, `password` a hash, times are in microseconds."""

    id: str
    name: str
    login: str
    role: Role
    password: str | None
    known_as: str
    created_at: int
    created_by: str
    disabled_at: int | None

    def principal(self, via: Via) -> Person:
        """Who calls, recognised by `via`."""
        return Person(self.id, self.name, self.role, tuple(json.loads(self.known_as)), via)


def login_of(name: str) -> str:
    """`name` as it is looked up: one person, however they write it. What is too long for a name is nobody's: ""."""
    if len(name) > _LONGEST_TYPED:
        return ""
    return clean_text(unicodedata.normalize("NFKC", name)).strip().casefold()


def person_of(row: Any, via: Via) -> Person:
    """The principal of a row of `sv_people`."""
    return Person(row.id, row.name, row.role, tuple(json.loads(row.known_as)), via)


def check(name: str, role: str, known_as: Sequence[str]) -> None:
    """Raises `ValueError` for what nobody can be called, or be."""
    login = login_of(name)
    if not login or name != name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError(f"name: give 1 to {MAX_NAME} printable characters without blanks around them")
    if login.startswith(_RESERVED):
        raise ValueError(f"name: {name!r} reads like a caller that is no person: choose another name")
    if role not in ROLES:
        raise ValueError(f"role: {role[:40]!r}: choose one of {', '.join(get_args(Role))}")
    if len(known_as) > MAX_KNOWN_AS or not all(
        0 < len(one.strip()) <= MAX_NAME and one.isprintable() for one in known_as
    ):
        raise ValueError(f"known_as: give at most {MAX_KNOWN_AS} names of 1 to {MAX_NAME} printable characters")


class People:
    """The people of a service. Passwords come hashed (`Passwords`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, name: str, role: str, by: str, *, password: str | None = None, known_as: Sequence[str] = ()
    ) -> StoredPerson:
        """A new account. Raises `PersonTaken`, and `ValueError` for a name or role that can't be."""
        check(name, role, known_as)
        made = uuid.uuid4().hex

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            # One writer at a time: what is looked up here still holds when the row is there.
            if held.execute(select(table.c.id).where(table.c.login == login_of(name))).first() is not None:
                raise PersonTaken(f"there is somebody named {name!r} already: choose another name")
            if (held.execute(select(func.count()).select_from(table)).scalar() or 0) >= MOST:
                raise PersonTaken(f"there are {MOST} people, the most there can be")
            held.execute(
                insert(table).values(
                    id=made,
                    name=name,
                    login=login_of(name),
                    role=role,
                    password=password,
                    known_as=json.dumps(list(known_as)),
                    created_at=now_us(),
                    created_by=by,
                )
            )
            also = f", known as {', '.join(known_as)}" if known_as else ""
            how = "with a password" if password else "without a password"
            note(act("person", made, by, f"created {name!r} as {role}{also}, {how}"))

        self._store.transact(work)
        return self.get(made)

    def get(self, person_id: str) -> StoredPerson:
        """The person with this id. Raises `LookupError`."""
        return self._one(table.c.id == person_id, "person not found")

    def named(self, text: str) -> StoredPerson:
        """The person whose name or id is `text`. Raises `LookupError`."""
        chosen = (table.c.login == login_of(text)) | (table.c.id == text)
        return self._one(chosen, f"there is nobody named {text!r}: `people list` shows them")

    def with_login(self, name: str) -> StoredPerson | None:
        """The active person who is named so; None where there is none."""
        try:
            return self._one((table.c.login == login_of(name)) & table.c.disabled_at.is_(None), "")
        except LookupError:
            return None

    def list(self) -> list[StoredPerson]:
        """Everybody, disabled ones too, oldest first."""
        with self._store.reading() as held:
            rows = held.execute(select(table).order_by(table.c.created_at, table.c.id)).mappings().all()
        return [StoredPerson(**row) for row in rows]

    def disable(self, person_id: str, by: str) -> StoredPerson:
        """Shut somebody out: sessions end, tokens are revoked. Raises `LookupError`, `LastAdministrator`."""

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            row = _row(held, person_id)
            if row.disabled_at is not None:
                return
            _check_not_last(held, row)
            held.execute(update(table).where(table.c.id == person_id).values(disabled_at=now_us()))
            ended = held.execute(delete(sessions).where(sessions.c.person_id == person_id)).rowcount
            valid = (tokens.c.person_id == person_id) & tokens.c.revoked_at.is_(None)
            revoked = held.execute(update(tokens).where(valid).values(revoked_at=now_us())).rowcount
            note(act("person", person_id, by, f"disabled; {ended} sessions ended, {revoked} tokens revoked"))

        self._store.transact(work)
        return self.get(person_id)

    def enable(self, person_id: str, by: str) -> StoredPerson:
        """Let somebody in again; their tokens stay revoked. Raises `LookupError`."""

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            if _row(held, person_id).disabled_at is not None:
                held.execute(update(table).where(table.c.id == person_id).values(disabled_at=None))
                note(act("person", person_id, by, "enabled"))

        self._store.transact(work)
        return self.get(person_id)

    def change(
        self, person_id: str, by: str, *, role: str | None = None, known_as: Sequence[str] | None = None
    ) -> StoredPerson:
        """Another role, other names in applications. Raises `LookupError`, `LastAdministrator`, `ValueError`."""

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            row = _row(held, person_id)
            check(row.name, row.role if role is None else role, known_as or ())
            values: dict[str, Any] = {}
            if role is not None and role != row.role:
                if role != "administrator":
                    _check_not_last(held, row)
                values["role"] = role
                note(act("person", person_id, by, f"role changed from {row.role} to {role}"))
            if known_as is not None and json.dumps(list(known_as)) != row.known_as:
                values["known_as"] = json.dumps(list(known_as))
                note(act("person", person_id, by, f"known as {', '.join(known_as) or 'nobody else'}"))
            if values:
                held.execute(update(table).where(table.c.id == person_id).values(values))

        self._store.transact(work)
        return self.get(person_id)

    def set_password(self, person_id: str, password: str | None, by: str) -> StoredPerson:
        """Another password, hashed, or none; all sessions of the person end. Raises `LookupError`."""

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            _row(held, person_id)
            held.execute(update(table).where(table.c.id == person_id).values(password=password))
            ended = held.execute(delete(sessions).where(sessions.c.person_id == person_id)).rowcount
            what = "set a password" if password else "removed the password"
            note(act("person", person_id, by, f"{what}; {ended} sessions ended"))

        self._store.transact(work)
        return self.get(person_id)

    def _one(self, chosen: Any, missing: str) -> StoredPerson:
        with self._store.reading() as held:
            row = held.execute(select(table).where(chosen)).mappings().first()
        if row is None:
            raise LookupError(missing)
        return StoredPerson(**row)


def _row(held: Connection, person_id: str) -> Any:
    row = held.execute(select(table).where(table.c.id == person_id)).first()
    if row is None:
        raise LookupError("person not found")
    return row


def _check_not_last(held: Connection, row: Any) -> None:
    if row.role != "administrator" or row.disabled_at is not None:
        return
    others = (table.c.role == "administrator") & table.c.disabled_at.is_(None) & (table.c.id != row.id)
    if held.execute(select(table.c.id).where(others).limit(1)).first() is None:
        raise LastAdministrator(f"{row.name!r} is the last administrator: make somebody else one first")
