"""Subscriptions in the database: who is told of which events, where, and signed with which secret."""

from __future__ import annotations

import builtins
import json
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, text, tuple_, update

from supervisor_guards.embedded.bundle import iso
from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service import wakeups
from supervisor_guards.service.acts import act
from supervisor_guards.service.integrations import Unfit
from supervisor_guards.service.schema import deliveries, integrations
from supervisor_guards.service.schema import subscriptions as table
from supervisor_guards.service.vault import Vault, check_edition, new_token
from supervisor_guards.service.webhooks.counting import add_ends
from supervisor_guards.service.webhooks.events import EVENTS

__all__ = ["Subscription", "Subscriptions", "TooMany"]

MAX_ACTIVE = 100
VERSION_KEY = "subscriptions"
"""What `sg_meta` says under it changes whenever subscriptions do."""


class TooMany(ValueError):
    """There are as many active subscriptions as there may be."""


class Subscription(msgspec.Struct, frozen=True):
    """A row. `events` is a JSON list, secrets are encrypted, times are in microseconds."""

    id: str
    integration_id: str | None
    url: str
    events: str
    secret: str
    former_secret: str | None
    former_until: int | None
    created_at: int
    created_by: str
    disabled_at: int | None

    def secrets(self, vault: Vault, now: int) -> list[str]:
        """What it is signed with, the current one first. Raises `ConfigurationError` for another master key."""
        found = [vault.open(self.secret, self.id)]
        if self.former_secret is not None and (self.former_until or 0) > now:
            found.append(vault.open(self.former_secret, self.id))
        return found


class Subscriptions:
    """The subscriptions of a service."""

    def __init__(self, store: Store, vault: Vault, overlap_seconds: float) -> None:
        self._store = store
        self._vault = vault
        self._overlap_us = int(overlap_seconds * 1_000_000)

    def create(
        self, url: str, events: Sequence[str], by: str, integration_id: str | None = None
    ) -> tuple[Subscription, str]:
        """A new subscription and its secret, which is told this once. What the URL may be is the sender's to say.

        Raises `Unfit` for events that aren't, and an integration that isn't there; `TooMany`.
        """
        if not events or not set(events) <= set(EVENTS):
            raise Unfit({"events": f"some of {', '.join(EVENTS)}"})
        made = uuid.uuid4().hex
        secret = new_token("sgw")
        values: dict[str, Any] = {
            "id": made, "integration_id": integration_id, "url": url,
            "events": json.dumps(list(dict.fromkeys(events))), "secret": self._vault.seal(secret, made),
            "created_at": now_us(), "created_by": by,
        }  # fmt: skip

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            known = select(integrations.c.id).where(integrations.c.id == integration_id)
            if integration_id is not None and held.execute(known).first() is None:
                raise Unfit({"integration_id": "the id of an integration, or null for all of them"})
            active = select(func.count()).select_from(table).where(table.c.disabled_at.is_(None))
            if held.execute(active).scalar_one() >= MAX_ACTIVE:
                raise TooMany(f"{MAX_ACTIVE} webhooks are active, the most there may be: disable one")
            held.execute(insert(table).values(values))
            note(act("webhook", made, by, f"created for {', '.join(events)} to {url}"))
            _changed(held)

        self._store.transact(work)
        return self.get(made), secret

    def get(self, subscription_id: str) -> Subscription:
        """The subscription with this id. Raises `LookupError`."""
        with self._store.reading() as held:
            row = held.execute(select(table).where(table.c.id == subscription_id)).mappings().first()
        if row is None:
            raise LookupError("webhook not found")
        return Subscription(**row)

    def list(self, limit: int, before: tuple[int, str] | None = None) -> builtins.list[Subscription]:
        """A page of subscriptions, disabled ones too, newest first; `before` is (created_at, id) of the last one."""
        query = select(table).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(tuple_(table.c.created_at, table.c.id) < before)
        with self._store.reading() as held:
            return [Subscription(**row) for row in held.execute(query).mappings()]

    def rotate(self, subscription_id: str, by: str, seen: str | None = None) -> tuple[Subscription, str]:
        """A new secret, told this once; for the overlap, deliveries are signed with both. Raises `LookupError`.

        `seen` is the `edition` of the secret that shall be replaced; raises `Rotated` where it was already.
        """
        secret = new_token("sgw")

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            check_edition(held.execute(select(table.c.secret).where(table.c.id == subscription_id)).scalar(), seen)
            until = now_us() + self._overlap_us
            values = {
                "former_secret": table.c.secret,
                "former_until": until,
                "secret": self._vault.seal(secret, subscription_id),
            }
            _change(held, subscription_id, values)
            told = f"rotated its secret; the former one signs too until {iso(until)}"
            note(act("webhook", subscription_id, by, told))

        self._store.transact(work)
        return self.get(subscription_id), secret

    def disable(self, subscription_id: str, by: str) -> Subscription:
        """End a subscription: nothing more is sent, and what waits is canceled. Raises `LookupError`."""

        def work(held: Connection, note: Callable[[Event], None]) -> None:
            _change(held, subscription_id, {"disabled_at": now_us()})
            waiting = (deliveries.c.subscription_id == subscription_id, deliveries.c.status == "pending")
            canceled = held.execute(update(deliveries).where(*waiting).values(status="canceled", lease=None)).rowcount
            add_ends(held, Counter(canceled=canceled))
            note(act("webhook", subscription_id, by, "disabled"))

        self._store.transact(work)
        return self.get(subscription_id)


def _change(held: Connection, subscription_id: str, values: dict[str, Any]) -> None:
    active = (table.c.id == subscription_id, table.c.disabled_at.is_(None))
    if not held.execute(update(table).where(*active).values(values)).rowcount:
        raise LookupError("webhook not found or disabled")
    _changed(held)


def _changed(held: Connection) -> None:
    """Let the outbox of every process read the subscriptions again, in its next transaction."""
    # At random: a number that was rolled back, and counted again for something else, would pass for known.
    held.execute(
        text(
            "INSERT INTO sg_meta (key, value) VALUES (:key, :version) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        ),
        {"key": VERSION_KEY, "version": uuid.uuid4().hex},
    )
    wakeups.tell(held, wakeups.DELIVERIES)
