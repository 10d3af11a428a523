"""Reviews are listed, waited for, decided, and their approvals used up."""

from __future__ import annotations

import time
from typing import Literal

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards._desk import Page, ReviewQuery
from supervisor_guards.embedded.desk import NotAReviewer, OwnAction, Principal
from supervisor_guards.embedded.errors import ReviewNotFound, ReviewResolved
from supervisor_guards.embedded.rows import Review
from supervisor_guards.embedded.transitions import Claim
from supervisor_guards.errors import ApprovalInvalid, ApprovalUsed
from supervisor_guards.service import bodies, reading, searching, wakeups
from supervisor_guards.service.api.calls import anybody, calling, choice, next_page, number
from supervisor_guards.service.api.desk import review_query
from supervisor_guards.service.core import Service
from supervisor_guards.service.items import review_item
from supervisor_guards.service.principals import Integration, demand
from supervisor_guards.service.principals import Principal as Caller
from supervisor_guards.service.problems import Problem, answer

STATUSES = ("pending", "approved", "rejected")
LONGEST_WAIT = 30
"""Seconds that a long poll may last: shorter than the patience of proxies between."""
MOST_WAITING = 5_000
"""Long polls of one process at a time; whoever comes then is answered at once, and asks again."""
_REDEEM = {"pending": 425, "expired": 410, "not-found": 404}


class Resolution(msgspec.Struct):
    """The body of `POST /v1/review-cases/{id}/resolve`."""

    decision: Literal["approved", "rejected"]
    notes: str | None = None


class Abandonment(msgspec.Struct):
    """The body of `POST /v1/review-cases/{id}/abandon`."""

    notes: str | None = None


class Redemption(msgspec.Struct):
    """The body of `POST /v1/approvals/{action_id}/redeem`: what is to be compared with what was approved."""

    digest: str
    subject: str | None = None
    action_type: str | None = None
    route: str | None = None
    tenant: str | None = None


async def list_reviews(request: Request) -> Response:
    """A page of reviews: an integration's own, all of them for people; the `Link` header names the next page.

    `action_id` chooses one, and `wait` (s) gives it time to be decided. With what they are searched by they come in
    the order in which they were asked for, or in that of the queue, and a page may have fewer than `limit` before the
    end.
    """
    service, caller = await anybody(request)
    status = choice(request, "status", STATUSES)
    limit = number(request, "limit", reading.PAGE, 1, reading.PAGE)
    action_id = request.query_params.get("action_id")
    if action_id is not None:
        found = await _waited(service, caller, action_id, number(request, "wait", 0, 0, LONGEST_WAIT))
        cases = [] if found is None or status not in (None, reading.version_1_status(found.status)) else [found]
        return answer(await _items(service, cases))
    searched = review_query(request)
    if searched is not None:
        return await _searched(request, service, caller, *searched, limit)
    before = _cursor(request)
    cases = await service.reading(_page, service, caller, status, limit, before)
    last = cases[-1] if len(cases) == limit else None
    headers = next_page(request, f"{last.resolved_at or 0}.{last.id}") if last is not None else None
    return answer(await _items(service, cases), headers=headers)


async def one_review(request: Request) -> Response:
    """One case."""
    service, caller = await anybody(request)
    found = await _found(service, caller, request.path_params["case_id"])
    return answer((await _items(service, [found]))[0])


async def resolve(request: Request) -> Response:
    """Approve or reject a pending review, once. An integration may only where its setting allows it."""
    service, caller = await anybody(request)
    case_id = request.path_params["case_id"]
    given = bodies.decode(await bodies.read(request, service.config.max_body_bytes), Resolution)
    found = await _found(service, caller, case_id)
    reviewer = _reviewer(request, caller)
    try:
        await service.reading(service.desk.resolve, found.action_id, given.decision, given.notes, reviewer)
    except (OwnAction, NotAReviewer) as error:
        raise Problem(403, str(error)) from None
    except ReviewResolved as error:
        raise Problem(409, f"review already {error.status}") from None  # version 1's words; the case says by whom
    return answer((await _items(service, [await _found(service, caller, case_id)]))[0])


async def abandon(request: Request) -> Response:
    """Close a pending review that nobody needs any more; for reviewers."""
    service, caller = await anybody(request)
    case_id = request.path_params["case_id"]
    given = bodies.decode(await bodies.read(request, service.config.max_body_bytes) or b"{}", Abandonment)
    found = await _found(service, caller, case_id)
    demand(caller, "reviewer")
    try:
        await service.reading(service.desk.abandon, found.action_id, _reviewer(request, caller), given.notes)
    except ReviewResolved as error:
        raise Problem(409, f"review already {error.status}") from None
    return answer((await _items(service, [await _found(service, caller, case_id)]))[0])


def _reviewer(request: Request, caller: Caller) -> Principal:
    """Who decides, as the record says it. Raises `Problem` 403 for who may not."""
    if isinstance(caller, Integration):
        if not caller.resolves_own:
            raise Problem(
                403,
                "an integration may not resolve its own reviews: a reviewer does, in the console or with a token of "
                "theirs (or create the integration with resolves_own)",
            )
        return Principal(f"{caller.label}, claiming {_approver(request) or 'nobody'}")
    person = demand(caller, "reviewer")
    claimed = _approver(request) if not person.id else None
    names = (person.name, *person.known_as, *([claimed] if claimed else []))
    return Principal(f"admin token, claiming {claimed}" if claimed else person.label, known_as=names)


async def redeem(request: Request) -> Response:
    """Use up an approval, once, for what was approved.

    409 used, 403 rejected or for something else, 410 expired, 425 pending.
    """
    service, integration = await calling(request)
    action_id = request.path_params["action_id"]
    asked = bodies.decode(await bodies.read(request, service.config.max_body_bytes), Redemption)
    await _found(service, integration, action_id, "approval not-found")
    claim = Claim(asked.digest, asked.subject, asked.action_type, asked.route, asked.tenant, integration.id)
    try:
        await service.reading(service.store.redeem, action_id, claim)
    except ApprovalUsed as error:
        raise Problem(409, f"approval {', '.join(error.reasons)}") from None
    except ApprovalInvalid as error:
        reason = error.reasons[0] if error.reasons else "invalid"
        raise Problem(_REDEEM.get(reason, 403), f"approval {reason}") from None
    return answer({"action_id": action_id, "status": "used"})


async def _searched(
    request: Request, service: Service, caller: Caller, query: ReviewQuery, order: str, limit: int
) -> Response:
    before = number(request, "before", 0, 0, 10**18) or None

    def read() -> Page[Review]:
        service.store.expire_due()
        with service.store.reading() as held:
            if order == "queue":
                return searching.find_queue(held, caller, query, limit, before)
            return searching.find_reviews(held, caller, query, limit, before, oldest_first=order == "oldest")

    page = await service.reading(read)
    headers = None if page.cursor is None else next_page(request, page.cursor)
    return answer(await _items(service, list(page.rows)), headers=headers)


async def _waited(service: Service, caller: Caller, action_id: str, seconds: int) -> Review | None:
    """The case of `action_id`, as soon as it is no longer pending, at most after `seconds`.

    A process that is about to end answers at once: another one is asked next.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = service.wakeups.seen(wakeups.REVIEWS)
        try:
            found = await _found(service, caller, action_id)
        except Problem:
            return None
        left = deadline - time.monotonic()
        full = service.wakeups.sleeping(wakeups.REVIEWS) >= MOST_WAITING
        if found.status != "pending" or left <= 0 or full or service.wakeups.ending:
            return found
        await service.wakeups.sleep(wakeups.REVIEWS, seen, left)


async def _found(service: Service, caller: Caller, action_id: str, missing: str = "review not found") -> Review:
    """The case, if the caller may see it. Raises `Problem` 404: what others have isn't there."""
    try:
        found: Review = await service.reading(service.store.case, action_id)
    except ReviewNotFound:
        raise Problem(404, missing) from None
    if not reading.may_see(caller, found.app_id, found.action_type):
        raise Problem(404, missing)
    return found


async def _items(service: Service, cases: list[Review]) -> list[dict[str, object]]:
    def read() -> list[dict[str, object]]:
        with service.store.reading() as held:
            decided = reading.decisions_of(held, [case.action_id for case in cases])
        return [review_item(case, decided.get(case.action_id)) for case in cases]

    return await service.reading(read)


def _page(
    service: Service, caller: Caller, status: str | None, limit: int, before: tuple[int, int] | None
) -> list[Review]:
    service.store.expire_due()

    def read(held: Connection) -> list[Review]:
        return reading.find_reviews(held, caller, status, limit, before)

    with service.store.reading() as held:
        return read(held)


def _approver(request: Request) -> str | None:
    """Whom the caller names as the approver: a claim, and told as one."""
    return (request.headers.get("x-approver") or "").strip()[:200] or None


def _cursor(request: Request) -> tuple[int, int] | None:
    text = request.query_params.get("before")
    if text is None:
        return None
    parts = text.split(".")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise Problem(422, [{"loc": ["query", "before"], "msg": "take it from the Link header", "type": "value_error"}])
    return int(parts[0]), int(parts[1])


routes = [
    Route("/v1/review-cases", list_reviews, methods=["GET"]),
    Route("/v1/review-cases/{case_id}", one_review, methods=["GET"]),
    Route("/v1/review-cases/{case_id}/resolve", resolve, methods=["POST"]),
    Route("/v1/review-cases/{case_id}/abandon", abandon, methods=["POST"]),
    Route("/v1/approvals/{action_id}/redeem", redeem, methods=["POST"]),
]
