"""Webhooks: who is told of what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from supervisor_guards.service.console.administration import (
    HERE,
    PAGE,
    Step,
    administered,
    ahead,
    another_secret,
    confirming,
    said_of,
    sentence,
    told_once,
    wanting,
)
from supervisor_guards.service.console.deliveries import HOME, newest, webhook_of
from supervisor_guards.service.console.policies import cursor
from supervisor_guards.service.console.showing import facts
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import IN_A_LIST, mark, path, span, text
from supervisor_guards.service.core import Service
from supervisor_guards.service.integrations import Unfit
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.vault import Rotated, edition
from supervisor_guards.service.webhooks.addresses import AddressRefused
from supervisor_guards.service.webhooks.deliveries import STATUSES
from supervisor_guards.service.webhooks.redelivery import Disabled, send_test
from supervisor_guards.service.webhooks.subscriptions import Subscription, TooMany

__all__ = ["routes"]

_CHOSEN = "event."
"""What the fields of the events begin with."""
_DONE = {
    "test": "A test is on its way: its delivery says what came of it.",
    "again": "It is sent again: its delivery says what came of it.",
    "disabled": "It is disabled, and what waited is canceled.",
}
_TOLD = {
    "decision.made": "every decision, shadow ones too",
    "action.denied": "an enforced denial",
    "review.requested": "a review opened",
    "review.resolved": "a review was approved or rejected, or expired",
    "administration.changed": "what an administrator did; not for one integration alone",
    "threat.detected": "nothing yet: no detector is built",
}


async def listed(visit: Visit) -> Response:
    """All of them, newest first, and the form for a new one."""
    return await _list(visit, {f"{_CHOSEN}{name}": "yes" for name in ("review.requested", "review.resolved")}, {})


async def create(visit: Visit) -> Response:
    """A new one; its secret is told this once."""
    service, form = administered(visit), await visit.form()
    url, chosen = form.get("url", "").strip(), [name for name in _TOLD if form.get(_CHOSEN + name) == "yes"]
    try:
        await service.sender.check(url)
        made, secret = await visit.reading(
            service.subscriptions.create, url, chosen, visit.visitor.name, form.get("integration_id") or None
        )
    except AddressRefused as error:
        return await _list(visit, form, {"url": sentence(error)}, 422)
    except Unfit as error:
        return await _list(visit, form, wanting(error), 422)
    except TooMany as error:
        return await _list(visit, form, {"": sentence(error)}, 409)
    return await _secret(visit, made, secret, "The webhook is made")


async def one(visit: Visit) -> Response:
    """One of them, and its deliveries."""
    return await _page(visit, await webhook_of(visit), {})


async def rotate(visit: Visit) -> Response:
    """Another secret, told this once, after a tick. For the overlap both sign."""
    service, found, form = administered(visit), await webhook_of(visit), await visit.form()
    _check_active(found)
    overlap = span(int(service.config.secret_overlap_seconds * 1_000_000))
    says = (
        f"It goes to {text(found.url)}.",
        f"For {overlap} deliveries are signed with both: give the receiver the new one within that time.",
        "A receiver of version 1 reads one signature, which is made with the new one from now on.",
    )
    seen = form.get("seen", edition(found.secret))
    step = another_secret("A new secret for this webhook?", says, "receiver", f"{HOME}/{path(found.id)}", seen)
    asking = await confirming(visit, step)
    if asking is not None:
        return asking
    try:
        changed, secret = await visit.reading(
            service.subscriptions.rotate, found.id, visit.visitor.name, form.get("seen", "")
        )
    except Rotated as error:
        return await _page(visit, found, {"": sentence(error)}, 409)
    except LookupError:
        raise _ended() from None
    return await _secret(visit, changed, secret, "The new secret of the webhook")


async def disable(visit: Visit) -> Response:
    """End one, after a tick."""
    service, found = administered(visit), await webhook_of(visit)
    _check_active(found)
    step = Step(
        "Disable this webhook?",
        (
            f"Nothing more is sent to {text(found.url)}, and what waits is canceled.",
            "It can't be taken back: another one has another secret.",
        ),
        "Nobody needs what it tells.",
        "Disable it",
        f"{HOME}/{path(found.id)}/disable",
        f"{HOME}/{path(found.id)}",
    )
    asking = await confirming(visit, step)
    if asking is not None:
        return asking
    try:
        await visit.reading(service.subscriptions.disable, found.id, visit.visitor.name)
    except LookupError:
        raise _ended() from None
    return visit.to(f"{HOME}/{path(found.id)}?done=disabled")


async def test(visit: Visit) -> Response:
    """Send `webhook.test`."""
    service, found = administered(visit), await webhook_of(visit)
    try:
        await visit.reading(send_test, service.store, found, visit.visitor.name)
    except Disabled as error:
        raise Problem(409, str(error)) from None
    return visit.to(f"{HOME}/{path(found.id)}?done=test")


async def _list(visit: Visit, given: Mapping[str, str], faults: Mapping[str, str], status: int = 200) -> Response:
    service = administered(visit)
    found, integrations = await visit.reading(_listed, service, cursor(visit.asked.get("before")))
    values = {
        "here": HERE,
        "rows": [_row(one) for one in found],
        "more": f"{found[-1].created_at}.{found[-1].id}" if len(found) == PAGE else None,
        "events": [(_CHOSEN + name, name, said) for name, said in _TOLD.items()],
        "integrations": integrations,
        "private": service.config.webhook_private,
        "given": given,
        "faults": faults,
    }
    return await visit.page("webhooks.html", values, status)


def _listed(service: Service, before: tuple[int, str] | None) -> tuple[list[Subscription], list[tuple[str, str]]]:
    """A page of webhooks, and the integrations that a new one may be about."""
    active = [one for one in service.integrations.list() if one.revoked_at is None]
    return service.subscriptions.list(PAGE, before), [(one.id, text(one.name, IN_A_LIST)) for one in active]


async def _page(visit: Visit, found: Subscription, faults: Mapping[str, str], status: int = 200) -> Response:
    service = administered(visit)
    application = None
    if found.integration_id is not None:
        application = await visit.reading(visit.source.application, found.integration_id)
    values = {
        "here": HERE,
        "row": _row(found),
        "facts": _facts(found, application),
        "active": found.disabled_at is None,
        "edition": edition(found.secret),
        "attempts": service.config.webhook_attempts,
        "statuses": STATUSES,
        "faults": faults,
        "done": said_of(_DONE, visit.asked),
        **await newest(visit, service, found),
    }
    return await visit.page("webhook.html", values, status)


async def _secret(visit: Visit, made: Subscription, secret: str, title: str) -> Response:
    says = (
        "Give this secret to the receiver: it checks the signature of each delivery with it.",
        "It is shown this once: no page shows it again.",
        f"What is told goes to {text(made.url)}.",
    )
    return await told_once(visit, title, says, secret, f"{HOME}/{path(made.id)}")


def _check_active(found: Subscription) -> None:
    if found.disabled_at is not None:
        raise _ended()


def _ended() -> Problem:
    return Problem(409, "the webhook is disabled: nothing about it can be changed; make another one")


def _row(found: Subscription) -> dict[str, Any]:
    return {
        "id": found.id,
        "url": text(found.url, IN_A_LIST),
        "mark": mark("active" if found.disabled_at is None else "disabled"),
        "events": text(", ".join(json.loads(found.events)), IN_A_LIST),
        "created_at": found.created_at,
        "created_by": text(found.created_by, IN_A_LIST),
    }


def _facts(found: Subscription, application: str | None) -> list[tuple[str, Any]]:
    return facts(
        ("Goes to", text(found.url, 2_000)),
        ("Tells of", text(", ".join(json.loads(found.events)))),
        ("Of", "all integrations" if application is None else text(application)),
        ("Id", found.id),
        ("Made", found.created_at),
        ("By", text(found.created_by, IN_A_LIST)),
        ("Former secret signs until", ahead(found.former_until)),
        ("Disabled", found.disabled_at),
    )


routes = [
    (HOME, "GET", listed),
    (HOME, "POST", create),
    (f"{HOME}/{{webhook_id}}", "GET", one),
    (f"{HOME}/{{webhook_id}}/rotate", "POST", rotate),
    (f"{HOME}/{{webhook_id}}/disable", "POST", disable),
    (f"{HOME}/{{webhook_id}}/test", "POST", test),
]
