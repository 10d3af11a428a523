"""Metrics in version 1's words, from sums per minute."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards.service.api.calls import anybody, choice
from supervisor_guards.service.metrics import WINDOWS, Summary
from supervisor_guards.service.metrics import summary as summary_of
from supervisor_guards.service.problems import answer


async def summary(request: Request) -> Response:
    """The sums of a window: an integration's own, all of them for people."""
    service, caller = await anybody(request)
    window = choice(request, "window", tuple(WINDOWS)) or "24h"

    def read() -> Summary:
        with service.store.reading() as held:
            return summary_of(held, window, caller)

    return answer(await service.reading(read))


# Version 1 has the same sums under two names.
routes = [
    Route("/v1/metrics/summary", summary, methods=["GET"]),
    Route("/v1/metrics/enforcement", summary, methods=["GET"]),
]
