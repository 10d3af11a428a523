"""For ASGI servers: the guard is made before the first request, and what it has queued is stored after the last."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread

from supervisor_guards.errors import ConfigurationError
from supervisor_guards_django import conf

logger = logging.getLogger("supervisor_guards")

Application = Callable[[Any, Any, Any], Awaitable[None]]


def guard_lifespan(application: Application) -> Application:
    """`application = guard_lifespan(get_asgi_application())`, in the project's `asgi.py`.

    Django has no lifespan, and uvicorn ends its process by the signal it was sent, without exit handlers: what the
    last requests left in the queue would be lost. Settings that can't work stop the start where anything is enforced.
    """

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await application(scope, receive, send)

    return guarded


async def _live(receive: Any, send: Any) -> None:
    await receive()
    try:
        await conf.aguard()
    except ConfigurationError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    except Exception:
        logger.error("the guard could not be made before the first request", exc_info=True)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        await anyio.to_thread.run_sync((await conf.aguard()).flush)
    except Exception:
        logger.error("what the guard has queued could not be stored", exc_info=True)
    await send({"type": "lifespan.shutdown.complete"})
