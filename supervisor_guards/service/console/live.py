"""New decisions as they are recorded: server-sent events, each with a row of the list (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from supervisor_guards._records import StoredDecision
from supervisor_guards.embedded.rows import now_us
from supervisor_guards.errors import SupervisorUnavailable
from supervisor_guards.service.console import pages, showing
from supervisor_guards.service.console.decisions import PAGE, Filters, number
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.problems import Problem

__all__ = ["routes"]

STREAMS = 100
"""Browsers that one process follows at a time."""
OF_ONE = 20
"""... and of them those of one person, who else could shut out everybody."""
_BACK_US = 900_000_000
"""How far a look reaches back, so that filters without an index read what is new alone."""
_BEAT_SECONDS = 10.0
_RETRY_MS = 1_000
_open: dict[Request, str] = {}
"""Those that are followed, and who looks at each."""


async def stream(visit: Visit) -> Response:
    """The rows written after `after` (or the browser's Last-Event-ID) that the filters of the address find."""
    if len(_open) >= STREAMS:
        said = f"{STREAMS} browsers follow already: reload the page to see what is new"
        raise Problem(503, said, {"Retry-After": "30"})
    if list(_open.values()).count(visit.visitor.name) >= OF_ONE:
        said = f"{OF_ONE} browsers of {visit.visitor.name!r} follow already: close some, or reload to see what is new"
        raise Problem(429, said, {"Retry-After": "30"})
    filters = Filters(visit.asked, since=now_us() - _BACK_US)
    sent = visit.request.headers.get("last-event-id")
    after = number({"after": sent} if sent else visit.asked, "after") or 0
    headers = {**pages.HEADERS, "X-Accel-Buffering": "no"}
    if visit.request.method == "HEAD":  # no server sends the body, and the stream would go on for nobody
        return Response(headers=headers, media_type="text/event-stream")
    return StreamingResponse(_events(visit, filters, after), headers=headers, media_type="text/event-stream")


async def _events(visit: Visit, filters: Filters, after: int) -> AsyncIterator[str]:
    """Until the source's patience is over; the browser then asks anew, and who it is gets looked at again."""
    source, ends = visit.source, time.monotonic() + visit.source.patience
    known: set[int] = set()
    _open[visit.request] = visit.visitor.name
    try:
        yield f"retry: {_RETRY_MS}\n\n"
        going = True
        while going and (left := ends - time.monotonic()) > 0:
            seen = source.seen()
            try:
                rows = await source.reading(_newest, visit, filters)
            except SupervisorUnavailable:
                yield "event: trouble\ndata: the record can't be reached just now\n\n"
                rows = []
            # Rows of processes that wrote at the same time may appear out of order: what is new is what wasn't seen.
            for row in rows:
                if row.id > after and row.id not in known:
                    yield _event(visit, row)
            known.update(row.id for row in rows)
            yield ": \n\n"  # a browser that went away is noticed by writing to it
            going = await source.changed(seen, min(left, _BEAT_SECONDS))
    finally:
        _open.pop(visit.request, None)


def _newest(visit: Visit, filters: Filters) -> list[StoredDecision]:
    """The newest page, oldest first: who can't read faster is shown what is newest."""
    found = visit.source.desk().find_decisions(filters.query, PAGE)
    return [row for row in reversed(found.rows) if filters.keeps(row)]


def _event(visit: Visit, row: StoredDecision) -> str:
    html = pages.fragment(visit.request, "decision_row.html", {"row": showing.decision_row(row)})
    data = msgspec.json.encode({"id": row.id, "html": html}).decode()
    return f"id: {row.id}\nevent: decision\ndata: {data}\n\n"


routes = [("/stream", "GET", stream)]
