"""What the tests of people and sessions share: accounts, browsers, and what the record says was done."""

from __future__ import annotations

from typing import Any

import httpx
from argon2 import PasswordHasher
from sqlalchemy import select

from supervisor_guards.embedded.schema import events
from supervisor_guards.service.core import Service
from supervisor_guards.service.passwords import Passwords
from supervisor_guards.service.people import StoredPerson
from tests.service.serving import PATIENCE, Running, new_name

PASSWORD = "correct horse battery staple"
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""Costs for tests that sign in often."""


def quick(service: Service) -> None:
    """Let `service` hash cheaply."""
    service.passwords = Passwords(QUICK)


def person(
    running: Running, role: str = "viewer", password: str | None = PASSWORD, name: str | None = None
) -> StoredPerson:
    """A new account; its password is hashed cheaply."""
    stored = None if password is None else QUICK.hash(password)
    return running.service.people.create(name or new_name("person"), role, "tests", password=stored)


class Browser(httpx.Client):
    """A client that keeps cookies."""

    def __init__(self, running: Running, **headers: str) -> None:
        super().__init__(base_url=running.base_url, trust_env=False, timeout=PATIENCE, headers=headers)

    def sign_in(self, name: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
        """Sign in, and send the session's token from now on."""
        answer = self.post("/v1/session", json={"name": name, "password": password}, headers=headers)
        if answer.is_success:
            self.headers["x-csrf-token"] = answer.json()["csrf_token"]
        return answer

    @property
    def signed_in(self) -> bool:
        """Whether the service knows who this is."""
        return self.get("/v1/session").is_success


def acts(service: Service, subject: str) -> list[tuple[str | None, str | None]]:
    """Who did what to `subject` (`person:ID`), in order."""
    query = select(events.c.actor, events.c.notes).where(events.c.action_id == subject, events.c.kind == "act")
    with service.store.reading() as held:
        return [(row.actor, row.notes) for row in held.execute(query.order_by(events.c.id))]


def everything(service: Service) -> str:
    """All that stands in the database."""
    from sqlalchemy import MetaData

    found: list[Any] = []
    with service.store.reading() as held:
        tables = MetaData()
        tables.reflect(held)
        for table in tables.sorted_tables:
            found += held.execute(select(table)).all()
    return repr(found)
