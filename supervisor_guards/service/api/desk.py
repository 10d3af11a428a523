"""What a desk elsewhere asks: how many reviews wait, what there is to filter by, and when decisions were made."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards._desk import DecisionQuery, ReviewQuery
from supervisor_guards._model import PRIORITIES
from supervisor_guards.service import searching
from supervisor_guards.service.api.calls import anybody, choice, number
from supervisor_guards.service.problems import Problem, answer
from supervisor_guards.service.searching import Window

OUTCOMES = ("allow", "deny", "review")
MODES = ("shadow", "sample", "enforce")
STATUSES = ("evaluated", "unavailable", "unknown")
STATES = ("pending", "approved", "rejected", "expired", "abandoned", "used", "executed")
ORDERS = ("newest", "oldest", "queue")
"""In which searched reviews come; `queue` has the pending ones alone, the highest priority first."""
MOST_WINDOWS = 400
_LAST = 10**18


async def desk(request: Request) -> Response:
    """Sums of what the caller may see. `recorded` answers each `window=<from>-<before>` (microseconds)."""
    service, caller = await anybody(request)
    windows = [_window(text) for text in request.query_params.getlist("window")]
    if len(windows) > MOST_WINDOWS:
        raise _bad("window", f"{len(windows)} of them: ask for at most {MOST_WINDOWS}")

    def read() -> dict[str, Any]:
        service.store.expire_due()
        with service.store.reading() as held:
            found, span = searching.choices(held, caller), searching.span(held, caller)
            return {
                "waiting": searching.waiting(held, caller),
                "action_types": found.action_types,
                "routes": found.routes,
                "rules": found.rules,
                "span": span,
                "recorded": searching.recorded(held, caller, windows, span),
            }

    return answer(await service.reading(read))


def decision_query(request: Request) -> DecisionQuery | None:
    """What the parameters search decisions for; None where they don't. Raises `Problem` 422."""
    said = request.query_params.get
    query = DecisionQuery(
        action_type=said("action_type"),
        route=said("route"),
        subject=said("subject"),
        mode=choice(request, "mode", MODES),
        outcome=choice(request, "outcome", OUTCOMES),
        would_have=choice(request, "would_have", OUTCOMES),
        status=choice(request, "status", STATUSES),
        rule=said("rule"),
        text=said("text"),
        since=_moment(request, "since"),
        until=_moment(request, "until"),
    )
    return None if query == DecisionQuery() else query


def review_query(request: Request) -> tuple[ReviewQuery, str] | None:
    """What the parameters search reviews for, and which of `ORDERS` they come in; None where they don't.

    `state` is the status in full. Raises `Problem` 422.
    """
    said = request.query_params.get
    order = choice(request, "order", ORDERS)
    query = ReviewQuery(
        status=choice(request, "state", STATES),
        priority=choice(request, "priority", PRIORITIES),
        action_type=said("action_type"),
        route=said("route"),
        subject=said("subject"),
        text=said("text"),
        since=_moment(request, "since"),
        until=_moment(request, "until"),
    )
    return None if order is None and query == ReviewQuery() else (query, order or ORDERS[0])


def _moment(request: Request, name: str) -> int | None:
    return number(request, name, 0, 0, _LAST) if name in request.query_params else None


def _window(text: str) -> Window:
    ends = text.split("-")
    if len(ends) != 2 or not all(end.isascii() and end.isdigit() and len(end) < 19 for end in ends):
        raise _bad("window", f"{text[:40]!r}: give <from>-<before>, microseconds since the epoch")
    return int(ends[0]), int(ends[1])


def _bad(name: str, message: str) -> Problem:
    return Problem(422, [{"loc": ["query", name], "msg": message, "type": "value_error"}])


routes = [Route("/v1/desk", desk, methods=["GET"])]
