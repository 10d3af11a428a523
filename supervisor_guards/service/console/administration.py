"""What an administrator looks after: applications, people, and what was done."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select
from starlette.responses import Response

from supervisor_guards.embedded.schema import events
from supervisor_guards.service.console.decisions import number
from supervisor_guards.service.console.service_source import ServiceSource
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import IN_A_LIST, text
from supervisor_guards.service.core import Service

__all__ = ["routes"]

_PAGE = 100


async def show(visit: Visit) -> Response:
    """Integrations, people, and the newest acts."""
    visit.visitor.demand("administrator")
    assert isinstance(visit.source, ServiceSource)
    before = number(visit.asked, "before")
    return await visit.page("administration.html", await visit.reading(_all, visit.source.service, before))


def _all(service: Service, before: int | None) -> dict[str, Any]:
    acts = acts_of(service, before)
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
        "older": acts[-1]["id"] if len(acts) == _PAGE else None,
    }


def acts_of(service: Service, before: int | None) -> list[dict[str, Any]]:
    """A page of what administrators did, the newest first, from the evidence log."""
    query = select(events).where(events.c.kind == "act").order_by(events.c.id.desc()).limit(_PAGE)
    if before is not None:
        query = query.where(events.c.id < before)
    with service.store.reading() as held:
        found = held.execute(query).all()
    return [
        {
            "id": row.id,
            "time": row.time,
            "who": text(row.actor, IN_A_LIST),
            "what": text(row.action_id, IN_A_LIST),
            "did": text(row.notes),
        }
        for row in found
    ]


routes = [("/administration", "GET", show)]
