"""What an administrator looks after: applications, people, and what was done."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import func, select
from starlette.responses import Response

from supervisor_guards.embedded.schema import events
from supervisor_guards.service.console.decisions import number
from supervisor_guards.service.console.service_source import ServiceSource
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import IN_A_LIST, text
from supervisor_guards.service.core import Service

__all__ = ["routes"]

_PAGE = 100
_LOOKED_THROUGH = 20_000


async def show(visit: Visit) -> Response:
    """Integrations, people, and the newest acts."""
    visit.visitor.demand("administrator")
    assert isinstance(visit.source, ServiceSource)
    before = number(visit.asked, "before")
    return await visit.page("administration.html", await visit.reading(_all, visit.source.service, before))


def _all(service: Service, before: int | None) -> dict[str, Any]:
    acts, older = acts_of(service, before)
    return {
        "here": "administration",
        "first": before is None,
        "integrations": [
            {
                "name": text(one.name, IN_A_LIST),
                "id": one.id,
                "scopes": text(", ".join(json.loads(one.scopes)), IN_A_LIST),
                "created_at": one.created_at,
                "created_by": text(one.created_by, IN_A_LIST),
                "revoked_at": one.revoked_at,
            }
            for one in service.integrations.list()
        ],
        "people": [
            {
                "name": text(one.name, IN_A_LIST),
                "role": one.role,
                "created_at": one.created_at,
                "created_by": text(one.created_by, IN_A_LIST),
                "disabled_at": one.disabled_at,
            }
            for one in service.people.list()
        ],
        "acts": acts,
        "older": older,
    }


def acts_of(service: Service, before: int | None) -> tuple[list[dict[str, Any]], int | None]:
    """What administrators did, the newest first, and where older ones begin; from the evidence log.

    No index knows acts from what happened to actions: a page looks through `_LOOKED_THROUGH` events at most.
    """
    with service.store.reading() as held:
        end = before or (held.execute(select(func.max(events.c.id))).scalar() or 0) + 1
        low = max(0, end - _LOOKED_THROUGH)
        query = select(events).where(events.c.kind == "act", events.c.id < end, events.c.id >= low)
        found = held.execute(query.order_by(events.c.id.desc()).limit(_PAGE)).all()
    acts = [
        {
            "time": row.time,
            "who": text(row.actor, IN_A_LIST),
            "what": text(row.action_id, IN_A_LIST),
            "did": text(row.notes),
        }
        for row in found
    ]
    return acts, found[-1].id if len(found) == _PAGE else low or None


routes = [("/administration", "GET", show)]
