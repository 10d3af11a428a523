"""What administrators do, as events of the record: sealed into the same chain as decisions and reviews."""

from __future__ import annotations

from supervisor_guards.embedded.rows import Event, now_us

__all__ = ["act"]


def act(kind: str, subject: str, by: str, what: str) -> Event:
    """The event of an administrative act: `by` did `what` to the `kind` named `subject`."""
    return Event(action_id=f"{kind}:{subject}", time=now_us(), kind="act", actor=by, notes=what)
