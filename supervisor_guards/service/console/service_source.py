"""The service's record, woken by the changes that its processes tell each other of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from sqlalchemy import select

from supervisor_guards._desk import Desk
from supervisor_guards.policy.engine import PolicySet
from supervisor_guards.service import wakeups
from supervisor_guards.service.console.sources import PolicyText, Section
from supervisor_guards.service.schema import policies as table

if TYPE_CHECKING:
    from supervisor_guards.embedded.store import Store
    from supervisor_guards.service.core import Service

__all__ = ["ServiceSource"]

T = TypeVar("T")
_BREATH_SECONDS = 0.25
"""Between two looks of one stream, however much is written."""


class ServiceSource:
    """The record of `service`; `sections` are the pages that its console has beside those of every console."""

    patience = 60.0

    def __init__(self, service: Service, sections: Sequence[Section] = ()) -> None:
        self.service = service
        self.sections = sections

    def desk(self) -> Desk:
        """The service's."""
        return self.service.desk

    def store(self) -> Store:
        """The service's."""
        return self.service.store

    def policies(self, *, shadow: bool) -> PolicySet:
        """Those in force in this process."""
        return self.service.policies.current(shadow=shadow)

    def policy_text(self, hash_: str) -> PolicyText | None:
        """The stored version, as it was taken in."""
        with self.service.store.reading() as held:
            query = select(table).where(table.c.hash == hash_).order_by(table.c.created_at).limit(1)
            found = held.execute(query).first()
        if found is None:
            return None
        stands = "in force" if found.promoted_at is not None and found.retired_at is None else "no longer in force"
        label = f"{found.name}@v{found.version}"
        return PolicyText(label, f"taken in by {found.created_by}, {stands}", found.source)

    def application(self, app_id: str) -> str:
        """The integration's name, which is its own, before its id."""
        try:
            return f"{self.service.integrations.get(app_id).name} ({app_id})"
        except LookupError:
            return app_id

    async def reading(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """On the service's threads."""
        return await self.service.reading(call, *args, **kwargs)

    def seen(self) -> int:
        """The changes of decisions that this process has heard of."""
        return self.service.wakeups.seen(wakeups.DECISIONS)

    async def changed(self, seen: int, seconds: float) -> bool:
        """Until any process has recorded a decision."""
        heard = self.service.wakeups
        await anyio.sleep(_BREATH_SECONDS)
        await heard.sleep(wakeups.DECISIONS, seen, seconds)
        return not heard.ending
