"""A lifespan that makes the guard before the first request and closes it after the last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import anyio.to_thread

from supervisor_guards import Guard, get_guard

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def guard_lifespan(inner: Lifespan | None = None, *, guard: Guard | None = None) -> Lifespan:
    """`Starlette(lifespan=guard_lifespan(own_lifespan))`: for applications without `SupervisorMiddleware`.

    `inner` runs inside, and what it yields is passed on. A `guard` is closed at the end; the default guard, which
    others in the process may use, is only flushed. Raises `ConfigurationError` where it can't be made.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Mapping[str, Any] | None]:
        used = guard if guard is not None else await anyio.to_thread.run_sync(get_guard)
        try:
            async with AsyncExitStack() as stack:
                yield await stack.enter_async_context(inner(app)) if inner is not None else None
        finally:
            if guard is not None:
                await guard.aclose()
            else:
                await anyio.to_thread.run_sync(used.flush)

    return lifespan
