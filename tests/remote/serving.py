"""What the remote tests share: settings for a peer, and a policy that judges by amount."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from supervisor_guards import Guard, GuardConfig
from supervisor_guards._default import set_guard
from supervisor_guards.config import reset_for_tests
from tests.remote.peers import APP_ID, SECRET, Asked, Ruling

PATIENT = 30.0
"""Seconds for an evaluation that is expected to succeed: a busy machine is no fault."""


def by_amount(question: Asked) -> Ruling:
    """Allow up to 10, review up to 100, deny above; the reason tells the amount back."""
    amount = question.payload.get("amount", 0)
    if not isinstance(amount, (int, float)):
        return Ruling("deny", ("unreadable",), ("cap",))
    if amount > 100:
        return Ruling("deny", (f"too-much-{amount}",), ("cap",))
    if amount > 10:
        return Ruling("review", (f"look-at-{amount}",), ("look",))
    return Ruling("allow", (f"fine-{amount}",))


def settings(base_url: str, **changes: Any) -> GuardConfig:
    """Settings for an enforced guard of the service at `base_url`."""
    values: dict[str, Any] = {
        "base_url": base_url,
        "app_id": APP_ID,
        "shared_secret": SECRET,
        "enforcement_mode": "enforce",
        "evaluate_timeout_seconds": PATIENT,
        "review_poll_interval_seconds": 0.02,
        **changes,
    }
    return GuardConfig(**values)


@contextlib.contextmanager
def guarded_by(base_url: str, **changes: Any) -> Iterator[Guard]:
    """A default guard of the service at `base_url`, closed afterwards."""
    guard = Guard(settings(base_url, **changes))
    set_guard(guard)
    try:
        yield guard
    finally:
        reset_for_tests()
