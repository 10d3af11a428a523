"""The application's start and stop: rules and routes are looked over, the guard is closed."""

from __future__ import annotations

import logging

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supervisor_guards import Guard
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.web import RouteRules, enforced
from supervisor_guards_asgi.audit import check
from supervisor_guards_asgi.evaluation import Gate

logger = logging.getLogger("supervisor_guards")


class Startup:
    """Handles the lifespan scope of a middleware around `app`. `own_guard` is closed at the end."""

    def __init__(self, app: ASGIApp, rules: RouteRules, gate: Gate, own_guard: Guard | None, strict: bool) -> None:
        self._app = app
        self._rules = rules
        self._gate = gate
        self._own_guard = own_guard
        self._strict = strict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failed: ConfigurationError | None = None

        async def checking(message: Message) -> None:
            nonlocal failed
            if failed is not None:
                return
            if message["type"] == "lifespan.startup.complete":
                failed = await self._start()
                if failed is not None:
                    await send({"type": "lifespan.startup.failed", "message": str(failed)})
                    raise failed
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._stop()
            await send(message)

        try:
            await self._app(scope, receive, checking)
        except ConfigurationError as error:
            if error is not failed:
                raise

    async def _start(self) -> ConfigurationError | None:
        """Look over rules and routes once the application has started; what is found stops it if it enforces."""
        try:
            guard = await self._gate.guard()
            problems, ineffective = check(self._app, self._rules)
            stops = bool(enforced(guard, list(self._rules))[0])
        except ConfigurationError as error:
            return error
        except Exception:
            logger.error("the routes could not be looked over", exc_info=True)
            return None
        for problem in (*problems, *ineffective):
            logger.warning("%s", problem)
        serious = [*(problems if stops or self._strict else ()), *(ineffective if self._strict else ())]
        return ConfigurationError(serious) if serious else None

    async def _stop(self) -> None:
        try:
            if self._own_guard is not None:
                await self._own_guard.aclose()
            else:
                await anyio.to_thread.run_sync((await self._gate.guard()).flush)
        except Exception:
            logger.error("the guard could not be closed", exc_info=True)
