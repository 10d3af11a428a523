"""What administrators have sent: a test, or a delivery once more. Each is an ordinary delivery from then on."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert, select

from supervisor_guards.embedded.bundle import iso
from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service import wakeups
from supervisor_guards.service.acts import act
from supervisor_guards.service.schema import deliveries as table
from supervisor_guards.service.schema import subscriptions
from supervisor_guards.service.webhooks import deliveries
from supervisor_guards.service.webhooks.deliveries import Delivery, new_delivery
from supervisor_guards.service.webhooks.events import TEST, body
from supervisor_guards.service.webhooks.subscriptions import Subscription

__all__ = ["Disabled", "redeliver", "send_test"]


class Disabled(ValueError):
    """Nothing is sent to a subscription that was disabled."""


def send_test(store: Store, subscription: Subscription, by: str) -> Delivery:
    """A delivery of `webhook.test`. Raises `Disabled`."""

    def work(held: Connection, note: Callable[[Event], None]) -> Delivery:
        _check(held, subscription)
        now = now_us()
        said = body(TEST, {"webhook_id": subscription.id, "by": by, "at": iso(now)})
        made = held.execute(insert(table).values(new_delivery(subscription.id, TEST, "", said, now)))
        note(act("webhook", subscription.id, by, "sent a test"))
        wakeups.tell(held, wakeups.DELIVERIES)
        assert made.inserted_primary_key is not None
        return deliveries.get(held, subscription.id, made.inserted_primary_key[0])

    return store.transact(work)


def redeliver(store: Store, subscription: Subscription, delivery_id: int, by: str) -> Delivery:
    """Send it now, under its own id, with all its attempts. Raises `LookupError`, `Disabled`."""

    def work(held: Connection, note: Callable[[Event], None]) -> Delivery:
        _check(held, subscription)
        found = deliveries.get(held, subscription.id, delivery_id)
        deliveries.again(held, found, now_us())
        note(act("webhook", subscription.id, by, f"sent delivery {found.name} again"))
        wakeups.tell(held, wakeups.DELIVERIES)
        return deliveries.get(held, subscription.id, delivery_id)

    return store.transact(work)


def _check(held: Connection, subscription: Subscription) -> None:
    """Within the transaction: who was disabled meanwhile gets no delivery that would wait for ever."""
    if held.execute(select(subscriptions.c.disabled_at).where(subscriptions.c.id == subscription.id)).scalar():
        raise Disabled("the webhook is disabled: nothing is sent to it any more; create another one")
