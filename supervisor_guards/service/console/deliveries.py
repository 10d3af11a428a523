"""What became of each delivery of a webhook, and sending one again."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from supervisor_guards.service.console import showing
from supervisor_guards.service.console.administration import HERE, administered, choice
from supervisor_guards.service.console.decisions import number
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import IN_A_LIST, mark, path, text
from supervisor_guards.service.core import Service
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.webhooks import deliveries
from supervisor_guards.service.webhooks.deliveries import STATUSES, Delivery
from supervisor_guards.service.webhooks.redelivery import Disabled, redeliver
from supervisor_guards.service.webhooks.subscriptions import Subscription

__all__ = ["HOME", "newest", "routes", "webhook_of"]

HOME = "/administration/webhooks"
_PAGE = 50


async def one(visit: Visit) -> Response:
    """One delivery, with the body that is sent."""
    service, webhook = administered(visit), await webhook_of(visit)
    found = await visit.reading(_found, service, webhook, visit.request.path_params["delivery_id"])
    values = {
        "here": HERE,
        "webhook": webhook.id,
        "url": text(webhook.url, IN_A_LIST),
        "active": webhook.disabled_at is None,
        "row": _row(found),
        "facts": _facts(found),
        "body": showing.json_of(found.body),
    }
    return await visit.page("delivery.html", values)


async def send_again(visit: Visit) -> Response:
    """Send a delivery now, under its own id, whatever came of it."""
    service, webhook = administered(visit), await webhook_of(visit)
    found = await visit.reading(_found, service, webhook, visit.request.path_params["delivery_id"])
    try:
        await visit.reading(redeliver, service.store, webhook, found.id, visit.visitor.name)
    except LookupError as error:
        raise _missing(error) from None
    except Disabled as error:
        raise Problem(409, str(error)) from None
    return visit.to(f"{HOME}/{path(webhook.id)}?done=again")


async def webhook_of(visit: Visit) -> Subscription:
    """The webhook that the address names. Raises `Problem` 404."""
    service = administered(visit)
    try:
        return await visit.reading(service.subscriptions.get, visit.request.path_params["webhook_id"])
    except LookupError as error:
        raise Problem(404, f"{error}: the list shows those that there are") from None


async def newest(visit: Visit, service: Service, webhook: Subscription) -> dict[str, Any]:
    """The page of its deliveries that the address asks for, newest first. Raises `Problem` 422."""
    status = choice("status", visit.asked.get("status"), STATUSES)
    before = number(visit.asked, "before")

    def read() -> list[Delivery]:
        with service.store.reading() as held:
            return deliveries.find(held, webhook.id, _PAGE, before, status)

    found = await visit.reading(read)
    return {
        "rows": [_row(one) for one in found],
        "status": status,
        "first": before is None,
        "older": found[-1].id if len(found) == _PAGE else None,
    }


def _found(service: Service, webhook: Subscription, name: str) -> Delivery:
    try:
        with service.store.reading() as held:
            return deliveries.get(held, webhook.id, deliveries.number_of(webhook, name))
    except LookupError as error:
        raise _missing(error) from None


def _missing(error: LookupError) -> Problem:
    return Problem(404, f"{error}: those that are over are kept for 30 days")


def _row(found: Delivery) -> dict[str, Any]:
    return {
        "name": found.name,
        "event": found.event,
        # What administrators do belongs to no decision.
        "action_id": found.action_id if found.event not in ("administration.changed", "webhook.test") else "",
        "mark": mark(found.status),
        "pending": found.status == "pending",
        "attempts": found.attempts,
        "created_at": found.created_at,
        "next_at": found.next_at if found.status == "pending" else None,
        "answered_at": found.answered_at,
        "answer": text(found.answer, IN_A_LIST),
    }


def _facts(found: Delivery) -> list[tuple[str, Any]]:
    return showing.facts(
        ("Event", found.event),
        ("State", mark(found.status)),
        ("Attempts", str(found.attempts)),
        ("Written", found.created_at),
        ("Next attempt", found.next_at if found.status == "pending" else None),
        ("Last answer", text(found.answer, 2_500)),
        ("Answered at", found.answered_at),
        ("Delivery id", found.name),
    )


routes = [
    (f"{HOME}/{{webhook_id}}/deliveries/{{delivery_id}}", "GET", one),
    (f"{HOME}/{{webhook_id}}/deliveries/{{delivery_id}}/redeliver", "POST", send_again),
]
