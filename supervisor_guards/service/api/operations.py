"""What those who run the service ask of it: does it live, is it ready, what has it counted, what has it recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from supervisor_guards.embedded import queries
from supervisor_guards.embedded.lines import line_of
from supervisor_guards.embedded.rows import now_us
from supervisor_guards.service import instruments
from supervisor_guards.service.api.calls import administering, service_of
from supervisor_guards.service.core import Service
from supervisor_guards.service.instruments import Standing
from supervisor_guards.service.principals import demand
from supervisor_guards.service.problems import Problem, answer
from supervisor_guards.service.webhooks.counting import counted

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_PAGE = 500
_NDJSON = "application/x-ndjson"


async def healthy(request: Request) -> Response:
    """The process answers."""
    return answer({"status": "ok"})


async def ready(request: Request) -> Response:
    """The process answers, its database does, and it isn't about to end: a balancer may send it requests."""
    service = service_of(request)
    if service.wakeups.ending:
        raise Problem(503, "the service is ending: ask another process", {"Retry-After": "1"})
    await service.reading(service.store.anchor)
    return answer({"status": "ok"})


async def metrics(request: Request) -> Response:
    """Counters for Prometheus; who may read them is the setting `metrics`."""
    service = service_of(request)
    await _may_read(request, service)
    written = service.instruments.text(await service.reading(standing, service))
    return Response(written, media_type=instruments.CONTENT_TYPE)


async def export(request: Request) -> Response:
    """All decisions as JSON lines, oldest first, for `supervisor-guards replay`; those made meanwhile aren't in it."""
    service, person = await administering(request)
    demand(person, "administrator")
    if request.method == "HEAD":  # no server sends the body, and every decision would be read for it
        return Response(media_type=_NDJSON)
    # Before the first byte: a database that can't be reached is a 503 then, not an answer that breaks off.
    newest = await service.reading(service.store.decisions, 1)
    return StreamingResponse(_lines(service, newest[0].id if newest else 0), media_type=_NDJSON)


async def _lines(service: Service, last: int) -> AsyncIterator[bytes]:
    after = 0
    while after < last:
        # Not among the API's reads: an export that lasts an hour would hold one of their few threads.
        page = await anyio.to_thread.run_sync(_page, service, after, last)
        if page is None:
            return
        after, lines = page
        yield lines


def _page(service: Service, after: int, last: int) -> tuple[int, bytes] | None:
    found = service.store.decisions(_PAGE, after=after)
    if not found:
        return None
    return found[-1].id, b"".join(line_of(row, service.store) for row in found if row.id <= last)


async def _may_read(request: Request, service: Service) -> None:
    """Raises `Problem` where the caller may not read the counters."""
    if service.config.metrics == "everybody":
        return
    _, caller = await administering(request)
    if caller is None and service.config.metrics == "loopback" and _is_local(request):
        return
    demand(caller, "viewer")


def _is_local(request: Request) -> bool:
    """Whether a program on this machine asks for itself. A proxy on this machine asks for others, and says so."""
    peer = request.client.host if request.client else None
    return peer in LOOPBACK and not any(name in request.headers for name in _FORWARDED)


def standing(service: Service) -> list[Standing]:
    """What stands in the database, the same for each process that is asked."""
    with service.store.reading() as held:
        sent = counted(held)
        pending = queries.waiting(held)
    age = 0.0 if sent.oldest_at is None else max(0.0, (now_us() - sent.oldest_at) / 1_000_000)
    return [
        Standing("supervisor_reviews", "Reviews that wait for a person.", {"pending": pending}),
        Standing("supervisor_webhook_deliveries", "Webhook deliveries that are to be made.", {"pending": sent.pending}),
        Standing(
            "supervisor_webhook_oldest_pending_seconds",
            "The age of the oldest webhook delivery that is to be made; 0 where none is.",
            {"": age},
        ),
        Standing("supervisor_webhook_ends", "Webhook deliveries that ended, by how.", sent.ends, counts=True),
    ]


routes = [
    Route("/healthz", healthy, methods=["GET"]),
    Route("/readyz", ready, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
    Route("/v1/decisions/export", export, methods=["GET"]),
]
