"""Administrators say who is told of what, and see what became of each delivery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards.embedded.bundle import iso
from supervisor_guards.service import bodies
from supervisor_guards.service.api.calls import administering, choice, next_page, number
from supervisor_guards.service.core import Service
from supervisor_guards.service.integrations import Unfit
from supervisor_guards.service.principals import Person, demand
from supervisor_guards.service.problems import Problem, answer
from supervisor_guards.service.webhooks import deliveries
from supervisor_guards.service.webhooks.addresses import AddressRefused
from supervisor_guards.service.webhooks.deliveries import PAGE, STATUSES, Delivery, number_of
from supervisor_guards.service.webhooks.events import PUBLISHED
from supervisor_guards.service.webhooks.redelivery import Disabled, redeliver, send_test
from supervisor_guards.service.webhooks.subscriptions import Subscription, TooMany


class WantedWebhook(msgspec.Struct):
    """The body of `POST /v1/webhooks`. Without an `integration_id`, events of all of them are told."""

    url: str
    events: list[str] = msgspec.field(default_factory=lambda: list(PUBLISHED))
    integration_id: str | None = None


async def create(request: Request) -> Response:
    """A new webhook; its secret is told this once."""
    service, person = await _administrator(request)
    wanted = bodies.decode(await bodies.read(request, service.config.max_body_bytes), WantedWebhook)
    try:
        await service.sender.check(wanted.url)
        made, secret = await service.reading(
            service.subscriptions.create, wanted.url, wanted.events, person.label, wanted.integration_id
        )
    except AddressRefused as error:
        raise Problem(422, [{"loc": ["body", "url"], "msg": str(error), "type": "value_error"}]) from None
    except Unfit as error:
        faults = error.problems.items()
        detail = [{"loc": ["body", name], "msg": f"give {fit}", "type": "value_error"} for name, fit in faults]
        raise Problem(422, detail) from None
    except TooMany as error:
        raise Problem(409, str(error)) from None
    return answer({**webhook_item(made), "secret": secret}, 201)


async def list_all(request: Request) -> Response:
    """A page of webhooks, disabled ones too, newest first; the `Link` header names the next page."""
    service, _ = await _administrator(request)
    limit = number(request, "limit", PAGE, 1, PAGE)
    found = await service.reading(service.subscriptions.list, limit, _cursor(request))
    last = found[-1] if len(found) == limit else None
    headers = None if last is None else next_page(request, f"{last.created_at}.{last.id}")
    return answer([webhook_item(one) for one in found], headers=headers)


async def one(request: Request) -> Response:
    """One webhook."""
    service, _ = await _administrator(request)
    return answer(webhook_item(await _found(service, request)))


async def rotate(request: Request) -> Response:
    """A new secret, told this once; for the overlap, deliveries carry a signature with each."""
    service, person = await _administrator(request)
    await _found(service, request)
    try:
        changed, secret = await service.reading(service.subscriptions.rotate, _id(request), person.label)
    except LookupError as error:
        raise Problem(409, str(error)) from None
    return answer({**webhook_item(changed), "secret": secret})


async def disable(request: Request) -> Response:
    """End a webhook: nothing more is sent, and what waits is canceled."""
    service, person = await _administrator(request)
    await _found(service, request)
    try:
        ended = await service.reading(service.subscriptions.disable, _id(request), person.label)
    except LookupError as error:
        raise Problem(409, str(error)) from None
    return answer(webhook_item(ended))


async def test(request: Request) -> Response:
    """Send `webhook.test`; its delivery tells what came of it."""
    service, person = await _administrator(request)
    subscription = await _found(service, request)
    try:
        made = await service.reading(send_test, service.store, subscription, person.label)
    except Disabled as error:
        raise Problem(409, str(error)) from None
    return answer(delivery_item(made), 202)


async def list_deliveries(request: Request) -> Response:
    """A page of a webhook's deliveries, newest first; the `Link` header names the next page."""
    service, _ = await _administrator(request)
    subscription = await _found(service, request)
    limit = number(request, "limit", PAGE, 1, PAGE)
    before = number(request, "before", 0, 1, 10**18 - 1) or None
    status = choice(request, "status", STATUSES)

    def read() -> Sequence[Delivery]:
        with service.store.reading() as held:
            return deliveries.find(held, subscription.id, limit, before, status)

    found = await service.reading(read)
    headers = next_page(request, found[-1].id) if len(found) == limit else None
    return answer([delivery_item(one) for one in found], headers=headers)


async def one_delivery(request: Request) -> Response:
    """One delivery, with the body that is sent."""
    service, _ = await _administrator(request)
    subscription = await _found(service, request)

    def read() -> Delivery:
        with service.store.reading() as held:
            return deliveries.get(held, subscription.id, number_of(subscription, request.path_params["delivery_id"]))

    try:
        found = await service.reading(read)
    except LookupError as error:
        raise Problem(404, str(error)) from None
    return answer({**delivery_item(found), "body": json.loads(found.body)})


async def send_again(request: Request) -> Response:
    """Send a delivery now, under its own id, whatever came of it."""
    service, person = await _administrator(request)
    subscription = await _found(service, request)
    try:
        named = number_of(subscription, request.path_params["delivery_id"])
        again = await service.reading(redeliver, service.store, subscription, named, person.label)
    except LookupError as error:
        raise Problem(404, str(error)) from None
    except Disabled as error:
        raise Problem(409, str(error)) from None
    return answer(delivery_item(again), 202)


def webhook_item(row: Subscription) -> dict[str, Any]:
    """A webhook, without its secret."""
    return {
        "id": row.id,
        "url": row.url,
        "events": json.loads(row.events),
        "integration_id": row.integration_id,
        "active": row.disabled_at is None,
        "created_at": iso(row.created_at),
        "created_by": row.created_by,
        "disabled_at": None if row.disabled_at is None else iso(row.disabled_at),
    }


def delivery_item(row: Delivery) -> dict[str, Any]:
    """A delivery, without its body. `id` is what the receiver gets as `x-supervisor-delivery`."""
    return {
        "id": row.name,
        "event": row.event,
        "action_id": row.action_id,
        "status": row.status,
        "attempts": row.attempts,
        "created_at": iso(row.created_at),
        "next_attempt_at": iso(row.next_at) if row.status == "pending" else None,
        "answered_at": None if row.answered_at is None else iso(row.answered_at),
        "answer": row.answer,
    }


async def _administrator(request: Request) -> tuple[Service, Person]:
    service, person = await administering(request)
    return service, demand(person, "administrator")


async def _found(service: Service, request: Request) -> Subscription:
    try:
        return await service.reading(service.subscriptions.get, _id(request))
    except LookupError as error:
        raise Problem(404, str(error)) from None


def _id(request: Request) -> str:
    named: str = request.path_params["webhook_id"]
    return named


def _cursor(request: Request) -> tuple[int, str] | None:
    text = request.query_params.get("before")
    if text is None:
        return None
    at, dot, last = text.partition(".")
    if not (dot and at.isascii() and at.isdigit() and len(at) < 19):
        raise Problem(422, [{"loc": ["query", "before"], "msg": "take it from the Link header", "type": "value_error"}])
    return int(at), last


routes = [
    Route("/v1/webhooks", create, methods=["POST"]),
    Route("/v1/webhooks", list_all, methods=["GET"]),
    Route("/v1/webhooks/{webhook_id}", one, methods=["GET"]),
    Route("/v1/webhooks/{webhook_id}/rotate-secret", rotate, methods=["POST"]),
    Route("/v1/webhooks/{webhook_id}/disable", disable, methods=["POST"]),
    Route("/v1/webhooks/{webhook_id}/test", test, methods=["POST"]),
    Route("/v1/webhooks/{webhook_id}/deliveries", list_deliveries, methods=["GET"]),
    Route("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}", one_delivery, methods=["GET"]),
    Route("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", send_again, methods=["POST"]),
]
