"""Waiting for the store off the event loop, on threads of our own: the application's pool stays its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
_THREADS = 8
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("supervisor_guards_threads")


async def off_loop(call: Callable[..., T], *args: Any) -> T:
    """`call(*args)` in a worker thread. Cancellation waits for it: a write is never left half known."""
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(call, *args, limiter=limiter)
