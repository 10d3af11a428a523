"""The business of a small shop, without any framework: orders, refunds, e-mails, accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal


class NotFound(LookupError):
    """There is no such order or account."""


@dataclass
class Order:
    order_id: str
    account: str
    total: Decimal
    refunded: Decimal = Decimal(0)


@dataclass(frozen=True)
class Email:
    recipients: tuple[str, ...]
    subject: str
    body: str


def _orders() -> dict[str, Order]:
    made = [
        Order("A-1001", "ann", Decimal(40)),
        Order("A-1002", "bo", Decimal(1900)),
        Order("A-1003", "eve", Decimal(420)),
        Order("A-1004", "ann", Decimal(65)),
    ]
    return {order.order_id: order for order in made}


@dataclass
class Shop:
    """What there is, and what was done. Kept in memory: a restart brings the first day back."""

    orders: dict[str, Order] = field(default_factory=_orders)
    accounts: set[str] = field(default_factory=lambda: {"ann", "bo", "eve"})
    outbox: list[Email] = field(default_factory=list)

    def order(self, order_id: str) -> Order:
        """One order. Raises `NotFound`."""
        try:
            return self.orders[order_id]
        except KeyError:
            raise NotFound(f"there is no order {order_id}") from None

    def refund(self, order_id: str, amount: Decimal) -> Order:
        """Pay `amount` back. Nobody here asks whether that is a good idea. Raises `NotFound`."""
        order = self.order(order_id)
        order.refunded += amount
        return order

    def send(self, email: Email) -> None:
        """Send an e-mail; into the outbox, in this example."""
        self.outbox.append(email)

    def delete_account(self, account: str) -> None:
        """Delete a customer's account. Raises `NotFound`."""
        try:
            self.accounts.remove(account)
        except KeyError:
            raise NotFound(f"there is no account {account}") from None
