"""Integrations in the database: made, listed, rotated, revoked; each act is in the record."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service import wakeups
from supervisor_guards.service.acts import act
from supervisor_guards.service.principals import Integration
from supervisor_guards.service.schema import integrations as table
from supervisor_guards.service.vault import Vault, new_token

__all__ = ["Credentials", "Integrations", "NameTaken", "StoredIntegration"]


class NameTaken(ValueError):
    """Another integration has the name."""


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
        """A new integration and its secret, which is told this once. Raises `NameTaken`."""
        made = uuid.uuid4().hex
        secret = new_token("sgs")
        values: dict[str, Any] = {
            "id": made, "name": name, "scopes": json.dumps(list(scopes)), "secret": self._vault.seal(secret, made),
            "resolves_own": resolves_own, "per_minute": per_minute, "created_at": now_us(), "created_by": by,
        }  # fmt: skip

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            held.execute(insert(table).values(values))
            note(act("integration", made, by, f"created {name!r} with scopes {', '.join(scopes)}"))

        try:
            self._store.transact(work)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, IntegrityError):
                raise NameTaken(f"there is an integration named {name!r} already: choose another name") from None
            raise
        return self.get(made), secret

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

    def rotate(self, integration_id: str, by: str) -> tuple[StoredIntegration, str]:
        """A new secret, told this once; the old one stays good for the overlap. Raises `LookupError`."""
        secret = new_token("sgs")

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            until = now_us() + self._overlap_us
            values = {
                "former_secret": table.c.secret,
                "former_until": until,
                "secret": self._vault.seal(secret, integration_id),
            }
            self._change(held, integration_id, values)
            note(act("integration", integration_id, by, f"rotated its secret; the former one is good until {until}"))

        self._store.transact(work)
        return self.get(integration_id), secret

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

    def _change(self, held: Connection, integration_id: str, values: dict[str, Any]) -> None:
        active = (table.c.id == integration_id, table.c.revoked_at.is_(None))
        if not held.execute(update(table).where(*active).values(values)).rowcount:
            raise LookupError("integration not found or revoked")
        wakeups.tell(held, wakeups.ACCESS)
