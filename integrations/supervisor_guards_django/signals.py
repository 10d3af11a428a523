"""Signals for decisions and reviews, sent once they are recorded. A receiver that raises is logged, no more.

Each comes with `event`, a `supervisor_guards.Event`; the sender is the action type's name. They are sent on the
guard's own thread, after the answer, so a receiver has no request, and a transaction of its own.
"""

from __future__ import annotations

import logging

from django.db import close_old_connections
from django.dispatch import Signal

from supervisor_guards import Event

logger = logging.getLogger("supervisor_guards")

action_evaluated = Signal()
"""Every decision, in shadow too."""
action_denied = Signal()
"""A decision that refused the action; in shadow nothing is refused."""
review_requested = Signal()
"""A review that now waits for a person."""
review_resolved = Signal()
"""The end of such a review: `event.status` says which, `event.approver` and `event.notes` by whom and why."""


def announce(event: Event) -> None:
    """Send what `event` calls for: a hook of the guard."""
    if event.kind != "decision":
        _send(review_requested if event.kind == "review" else review_resolved, event)
        return
    _send(action_evaluated, event)
    if event.outcome == "deny":
        _send(action_denied, event)


def _send(signal: Signal, event: Event) -> None:
    if not signal.has_listeners(event.action_type):
        return
    close_old_connections()  # nobody else ends what receivers open on this thread
    try:
        for receiver, outcome in signal.send_robust(event.action_type, event=event):
            if isinstance(outcome, Exception):
                logger.error("a receiver of %s failed", getattr(receiver, "__name__", "a signal"), exc_info=outcome)
    finally:
        close_old_connections()
