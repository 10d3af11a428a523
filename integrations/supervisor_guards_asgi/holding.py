"""Waiting for a person with the request open: opt-in, bounded in time and number, and over when the client leaves."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import anyio.to_thread

from supervisor_guards import Guard
from supervisor_guards.errors import ApprovalInvalid, ReviewRejected, SupervisorBlocked

logger = logging.getLogger("supervisor_guards")

HOLD_SECONDS = 20.0
"""Proxies and platforms give up after 30 to 100 seconds; the client should hear of it from us."""
MAX_HOLDS = 100
_NAME = "client-disconnected"


class Holds:
    """The requests that wait for a person: at most `limit` at once, each at most `seconds`."""

    def __init__(self, seconds: float = HOLD_SECONDS, limit: int = MAX_HOLDS) -> None:
        self.seconds = seconds
        self.limit = limit
        self.active = 0

    async def wait(self, guard: Guard, action_id: str, gone: anyio.Event) -> SupervisorBlocked | bool:
        """Wait until the review of `action_id` is decided, `gone` is set, or the time is up.

        True: approved. False: still pending, because of the time or of too many that wait. Else what refuses. It
        takes no thread while it waits.
        """
        if self.active >= self.limit:
            return False
        self.active += 1
        try:
            with anyio.move_on_after(self.seconds):
                return await self._decided(guard, action_id, gone)
            return False
        finally:
            self.active -= 1

    async def _decided(self, guard: Guard, action_id: str, gone: anyio.Event) -> SupervisorBlocked | bool:
        interval = guard.config.review_poll_interval_seconds
        while not gone.is_set():
            try:
                state = await guard.supervisor.areview(action_id)
            except Exception:  # it may come back before the time is up
                logger.warning("the review %s could not be looked up", action_id, exc_info=True)
            else:
                if state.status == "approved":
                    return True
                if state.status != "pending":
                    notes = [state.notes] if state.notes else []
                    kind = ReviewRejected if state.status == "rejected" else ApprovalInvalid
                    return kind("review", [f"review-{state.status}", *notes], action_id)
            with anyio.move_on_after(interval):
                await gone.wait()
        return False


async def abandon(guard: Guard, action_id: str) -> None:
    """Close a review that nobody waits for any more: its action can't run by itself later."""
    store = _store(guard)
    if store is None:
        return
    try:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(store.resolve, action_id, "abandoned", _NAME, "the client hung up")
    except Exception:  # decided in the same moment, or a store that fails: the action doesn't run either way
        logger.warning("the review %s could not be abandoned", action_id, exc_info=True)


async def case_of(guard: Guard, action_id: str) -> Any:
    """The review of `action_id`, with its subject and status; None where there is none, or no store to ask."""
    store = _store(guard)
    if store is None:
        return None
    try:
        return await anyio.to_thread.run_sync(store.case, action_id)
    except LookupError:
        return None


def _store(guard: Guard) -> Any:
    """The store of an embedded supervisor; a service's reviews aren't ours to close."""
    return getattr(guard.supervisor, "store", None)
