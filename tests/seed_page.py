"""What the tests of the published page share: its snippets, and the policy that judges them.

Snippets are kept word for word, but for what they take from outside: a payment service, a mailer, a logger.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import config, get_guard, guarded, supervised_async

POLICY = """
name: seed
version: 1
action: [refund, email_send]
rules:
  - {id: hard-cap, when: "payload.get('amount', 0) > 10000", action: deny, reason: amount-exceeds-hard-cap}
  - {id: large, when: "payload.get('amount', 0) > 1000", action: review, reason: large-refund}
  - {id: recipient, when: "payload.get('to', '').endswith('@blocked.example')", action: deny, reason: recipient}
"""

DENIED, REVIEWED, FINE = 99_999, 5_000, 420


@contextlib.contextmanager
def page_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`folder` is the working directory and has the policy; no setting is in the environment."""
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    (folder / "supervisor.yaml").write_text(POLICY, encoding="utf-8")
    monkeypatch.chdir(folder)
    config.reset_for_tests()
    yield folder
    config.reset_for_tests()


class Stripe:
    """The payment service of the page's example."""

    def __init__(self) -> None:
        self.refunded: list[tuple[str, int]] = []

    async def create_async(self, *, payment_intent: str, amount: int) -> dict[str, Any]:
        self.refunded.append((payment_intent, amount))
        return {"id": payment_intent, "amount": amount}


def refunder(stripe: Stripe) -> Callable[[str, int], Any]:
    """The page's first example."""

    @supervised_async(
        "refund",
        payload=lambda order_id, amount: {"order_id": order_id, "amount": amount, "currency": "USD"},
    )
    async def do_refund(order_id: str, amount: int) -> dict[str, Any]:
        return await stripe.create_async(payment_intent=order_id, amount=amount)

    return do_refund


def refund(amount: int, *, on_review: Any = None) -> str:
    """A guarded refund of `amount`."""
    return guarded("refund", {"amount": amount}, lambda: "refunded", on_review=on_review)


def rows() -> list[Any]:
    """What was recorded, oldest first."""
    assert get_guard().flush()
    return list(reversed(get_guard().supervisor.store.decisions()))  # type: ignore[attr-defined]
