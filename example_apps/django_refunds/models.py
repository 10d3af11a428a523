"""The business of a small shop: orders, refunds, e-mails, accounts. No guard is mentioned here."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from django.db import models


class Account(models.Model):
    """A customer."""

    name = models.CharField(max_length=100, primary_key=True)

    def __str__(self) -> str:
        return str(self.name)


class Order(models.Model):
    """What a customer bought, and how much of it was paid back. It outlives the account."""

    order_id = models.CharField(max_length=20, primary_key=True)
    account = models.ForeignKey(Account, models.SET_NULL, null=True)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    refunded = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal(0))

    def __str__(self) -> str:
        return str(self.order_id)

    def refund(self, amount: Decimal) -> None:
        """Pay `amount` back. Nobody here asks whether that is a good idea."""
        self.refunded = models.F("refunded") + amount  # added up by the database: two refunds at once are two
        self.save(update_fields=["refunded"])
        self.refresh_from_db()


class Email(models.Model):
    """An e-mail to one or many; into this table is as far as the example sends it."""

    recipients = models.JSONField()
    subject = models.CharField(max_length=200)
    body = models.TextField()

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]

    def __str__(self) -> str:
        return str(self.subject)
