"""Signals for decisions, sent once they are recorded. A receiver that raises changes nothing, and is logged.

The sender is the application, `event` a `supervisor_guards.Event`. They are sent on the guard's own thread, after the
answer, in an application context of their own: a receiver has no request.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from blinker import NamedSignal, Namespace

from supervisor_guards import Event

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger("supervisor_guards")

_signals = Namespace()
action_evaluated = _signals.signal("action-evaluated")
"""Every decision, in shadow too."""
action_denied = _signals.signal("action-denied")
"""A decision that refused the action; in shadow nothing is refused."""
review_requested = _signals.signal("review-requested")
"""A review that now waits for a person."""
review_resolved = _signals.signal("review-resolved")
"""The end of a review; `event.status` says how it ended."""


def announce(app: Flask, event: Event) -> None:
    """Send what `event` calls for: a hook of the guard of `app`."""
    if event.kind == "review":
        _send(review_requested, app, event)
    elif event.kind == "resolution":
        _send(review_resolved, app, event)
    else:
        _send(action_evaluated, app, event)
        if event.outcome == "deny":
            _send(action_denied, app, event)


def _send(signal: NamedSignal, app: Flask, event: Event) -> None:
    if not signal.has_receivers_for(app):
        return
    with app.app_context():
        for receiver in signal.receivers_for(app):
            try:
                app.ensure_sync(receiver)(app, event=event)
            except Exception:
                name = getattr(receiver, "__name__", signal.name)
                logger.error("the receiver %s of %s failed", name, signal.name, exc_info=True)
