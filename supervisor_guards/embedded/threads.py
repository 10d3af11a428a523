"""Waiting for the store off the event loop, on threads of our own: the application's pool stays its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
_deciding: RunVar[anyio.CapacityLimiter] = RunVar("supervisor_guards_deciding")
_looking: RunVar[anyio.CapacityLimiter] = RunVar("supervisor_guards_looking")


async def off_loop(call: Callable[..., T], *args: Any) -> T:
    """`call(*args)` in a worker thread. Cancellation waits for it: a write is never left half known."""
    return await _limited(_deciding, 8, call, *args)


async def off_loop_to_look(call: Callable[..., T], *args: Any) -> T:
    """`off_loop` for those who wait for a reviewer: a thousand that look must not hold up one that decides."""
    return await _limited(_looking, 2, call, *args)


async def _limited(kept: RunVar[anyio.CapacityLimiter], threads: int, call: Callable[..., T], *args: Any) -> T:
    try:
        limiter = kept.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(threads)
        kept.set(limiter)
    return await anyio.to_thread.run_sync(call, *args, limiter=limiter)
