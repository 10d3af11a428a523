"""Integrations in the database: made, listed, rotated, revoked; each act is in the record."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from supervisor_guards.embedded.bundle import iso
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service import wakeups
from supervisor_guards.service.acts import act
from supervisor_guards.service.principals import ANY_SCOPE, Integration
from supervisor_guards.service.schema import integrations as table
from supervisor_guards.service.vault import Vault, check_edition, new_token

__all__ = ["Credentials", "Integrations", "NameTaken", "StoredIntegration", "Unfit"]


MAX_NAME = 200
MAX_SCOPES = 1_000
MAX_SCOPE = 512


class NameTaken(ValueError):
    """Another integration has the name."""


class Unfit(ValueError):
    """What an integration can't be made of. `problems` has each fault by the field's name."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{name}: give {wanted}" for name, wanted in problems.items()))


def check(name: str, scopes: Sequence[str], per_minute: int | None) -> None:
    """Raises `Unfit` for what no integration can be made of."""
    problems: dict[str, str] = {}
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        problems["name"] = f"1 to {MAX_NAME} printable characters"
    if not 1 <= len(scopes) <= MAX_SCOPES or not all(
        1 <= len(one) <= MAX_SCOPE and one.isprintable() for one in scopes
    ):
        problems["scopes"] = f"1 to {MAX_SCOPES} action types, or '*' for all of them"
    if per_minute is not None and not 0 <= per_minute <= 10**9:
        problems["per_minute"] = "a whole number from 0 (no limit) to 1,000,000,000"
    if problems:
        raise Unfit(problems)


class StoredIntegration(msgspec.Struct, frozen=True):
    """A row. `scopes` is a JSON list, secrets are encrypted, times are in microseconds."""

    id: str
    name: str
    scopes: str
    secret: str
    former_secret: str | None
    former_until: int | None
    resolves_own: bool
    per_minute: int | None
    created_at: int
    created_by: str
    revoked_at: int | None

    @property
    def principal(self) -> Integration:
        """Who calls with its secret."""
        return Integration(self.id, self.name, tuple(json.loads(self.scopes)), self.resolves_own, self.per_minute)


class Credentials(msgspec.Struct, frozen=True):
    """An active integration, and the secrets that its tokens may be signed with."""

    integration: Integration
    secrets: tuple[str, ...]
    former_until: int | None
    """Until when the second one is good."""


class Integrations:
    """The integrations of a service."""

    def __init__(self, store: Store, vault: Vault, overlap_seconds: float) -> None:
        self._store = store
        self._vault = vault
        self._overlap_us = int(overlap_seconds * 1_000_000)

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        by: str,
        *,
        resolves_own: bool = False,
        per_minute: int | None = None,
    ) -> tuple[StoredIntegration, str]:
        """A new integration and its secret, which is told this once.

        Raises `NameTaken`, and `Unfit` for a name, scopes or a limit that can't be.
        """
        check(name, scopes, per_minute)
        made, secret, values = self._new(name, scopes, by, resolves_own, per_minute)

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            self._insert(held, note, values)

        try:
            self._store.transact(work)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, IntegrityError):
                raise NameTaken(f"there is an integration named {name!r} already: choose another name") from None
            raise
        return self.get(made), secret

    def first(self, name: str, by: str) -> tuple[StoredIntegration, str] | None:
        """The first integration of all, for every action type, and its secret; None where there is one already."""
        made, secret, values = self._new(name, [ANY_SCOPE], by, False, None)

        def work(held: Connection, note: Callable[[Event], None]) -> bool:
            if held.execute(select(table.c.id).limit(1)).first() is not None:
                return False
            self._insert(held, note, values)
            return True

        return (self.get(made), secret) if self._store.transact(work) else None

    def any(self) -> bool:
        """Whether there is one, revoked or not."""
        with self._store.reading() as held:
            return held.execute(select(table.c.id).limit(1)).first() is not None

    def named(self, text: str) -> StoredIntegration:
        """The integration whose id or name is `text`. Raises `LookupError`."""
        with self._store.reading() as held:
            chosen = select(table).where((table.c.id == text) | (table.c.name == text))
            row = held.execute(chosen.order_by(table.c.id != text)).mappings().first()
        if row is None:
            raise LookupError(f"there is no integration named {text!r}: `integrations list` shows them")
        return StoredIntegration(**row)

    def get(self, integration_id: str) -> StoredIntegration:
        """The integration with this id. Raises `LookupError`."""
        with self._store.reading() as held:
            row = held.execute(select(table).where(table.c.id == integration_id)).mappings().first()
        if row is None:
            raise LookupError("integration not found")
        return StoredIntegration(**row)

    def list(self) -> list[StoredIntegration]:
        """All integrations, revoked ones too, oldest first."""
        with self._store.reading() as held:
            rows = held.execute(select(table).order_by(table.c.created_at, table.c.id)).mappings().all()
        return [StoredIntegration(**row) for row in rows]

    def rotate(self, integration_id: str, by: str, seen: str | None = None) -> tuple[StoredIntegration, str]:
        """A new secret, told this once; the old one stays good for the overlap. Raises `LookupError`.

        `seen` is the `edition` of the secret that shall be replaced; raises `Rotated` where it was already.
        """
        secret = new_token("sgs")

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            check_edition(held.execute(select(table.c.secret).where(table.c.id == integration_id)).scalar(), seen)
            until = now_us() + self._overlap_us
            values = {
                "former_secret": table.c.secret,
                "former_until": until,
                "secret": self._vault.seal(secret, integration_id),
            }
            self._change(held, integration_id, values)
            told = f"rotated its secret; the former one is good until {iso(until)}"
            note(act("integration", integration_id, by, told))

        self._store.transact(work)
        return self.get(integration_id), secret

    def change(self, integration_id: str, by: str, values: Mapping[str, Any]) -> StoredIntegration:
        """Other `scopes`, `resolves_own` or `per_minute`. Raises `LookupError`, `Unfit`."""
        known = self.get(integration_id)
        check(known.name, values.get("scopes", [ANY_SCOPE]), values.get("per_minute"))
        if not values:
            return known
        stored = {name: json.dumps(list(one)) if name == "scopes" else one for name, one in values.items()}
        told = ", ".join(f"{name} = {value}" for name, value in stored.items())

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            self._change(held, integration_id, stored)
            note(act("integration", integration_id, by, f"changed: {told}"))

        self._store.transact(work)
        return self.get(integration_id)

    def revoke(self, integration_id: str, by: str) -> StoredIntegration:
        """End an integration: its tokens are refused from now on. Raises `LookupError`."""

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            self._change(held, integration_id, {"revoked_at": now_us()})
            note(act("integration", integration_id, by, "revoked"))

        self._store.transact(work)
        return self.get(integration_id)

    def credentials(self, integration_id: str) -> Credentials | None:
        """An active integration and its secrets, newest first; None where there is none, or it was revoked."""
        try:
            found = self.get(integration_id)
        except LookupError:
            return None
        if found.revoked_at is not None:
            return None
        secrets = [self._vault.open(found.secret, found.id)]
        if found.former_secret is not None and (found.former_until or 0) > now_us():
            secrets.append(self._vault.open(found.former_secret, found.id))
        return Credentials(found.principal, tuple(secrets), found.former_until)

    def _new(
        self, name: str, scopes: Sequence[str], by: str, resolves_own: bool, per_minute: int | None
    ) -> tuple[str, str, dict[str, Any]]:
        """An id, a secret, and the row."""
        made = uuid.uuid4().hex
        secret = new_token("sgs")
        values: dict[str, Any] = {
            "id": made, "name": name, "scopes": json.dumps(list(scopes)), "secret": self._vault.seal(secret, made),
            "resolves_own": resolves_own, "per_minute": per_minute, "created_at": now_us(), "created_by": by,
        }  # fmt: skip
        return made, secret, values

    def _insert(self, held: Connection, note: Callable[[Event], None], values: dict[str, Any]) -> None:
        held.execute(insert(table).values(values))
        scopes = ", ".join(json.loads(values["scopes"]))
        note(act("integration", values["id"], values["created_by"], f"created {values['name']!r} with scopes {scopes}"))
        wakeups.tell(held, wakeups.ACCESS)

    def _change(self, held: Connection, integration_id: str, values: dict[str, Any]) -> None:
        active = (table.c.id == integration_id, table.c.revoked_at.is_(None))
        if not held.execute(update(table).where(*active).values(values)).rowcount:
            raise LookupError("integration not found or revoked")
        wakeups.tell(held, wakeups.ACCESS)
