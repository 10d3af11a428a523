"""Decisions are read: one, the newest, and the evidence of one."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards._desk import Page
from supervisor_guards.embedded.bundle import bundle
from supervisor_guards.embedded.errors import ReviewNotFound
from supervisor_guards.embedded.rows import StoredDecision
from supervisor_guards.service import reading, searching
from supervisor_guards.service.api.calls import anybody, choice, flag, next_page, number, service_of
from supervisor_guards.service.api.desk import decision_query
from supervisor_guards.service.core import Service
from supervisor_guards.service.items import decision_item
from supervisor_guards.service.principals import Principal
from supervisor_guards.service.problems import Problem, answer

CAPABILITIES = ("batch", "long_poll", "redeem", "result", "results", "bundle", "desk")


async def capabilities(request: Request) -> Response:
    """What this service has beside version 1."""
    service = service_of(request)
    return answer({"capabilities": CAPABILITIES, "max_batch": service.config.max_batch})


async def action_types(request: Request) -> Response:
    """The action types that a policy covers."""
    service = service_of(request)
    found: list[dict[str, Any]] = []
    for policy in service.policies.current(shadow=True).policies:
        for name in policy.actions:
            found.append(
                {
                    "id": name,
                    "title": name,
                    "one_liner": policy.rules[0].explanation or policy.rules[0].reason,
                    "status": "live",
                    "intercepted_signals": sorted({field for rule in policy.rules for field in rule.fields}),
                    "sample_payload": dict(policy.tests[0].payload) if policy.tests else {},
                    "policy_ref": policy.label,
                }
            )
    return answer({"action_types": sorted(found, key=lambda item: str(item["id"]))})


async def recent(request: Request) -> Response:
    """The newest decisions: an integration's own, all of them for people. `before` is a cursor of the `Link` header.

    With what they are searched by, a page may have fewer than `limit` before the end: the `Link` header goes on.
    """
    service, caller = await anybody(request)
    outcome = choice(request, "decision", ("allow", "deny", "review"))
    limit = number(request, "limit", 50, 1, 500)
    before = number(request, "before", 0, 0, 10**18) or None
    include_shadow = flag(request, "include_shadow", True)

    query = decision_query(request)
    if query is not None and query.outcome is None:
        query = msgspec.structs.replace(query, outcome=outcome)

    def read() -> Page[StoredDecision]:
        with service.store.reading() as held:
            if query is not None:
                return searching.find_decisions(held, caller, query, limit, before, include_shadow=include_shadow)
            return reading.find_decisions(
                held, caller, limit, before=before, outcome=outcome, include_shadow=include_shadow
            )

    page = await service.reading(read)
    headers = None if page.cursor is None else next_page(request, page.cursor)
    return answer([decision_item(row) for row in page.rows], headers=headers)


async def one_decision(request: Request) -> Response:
    """One decision."""
    service, caller = await anybody(request)
    return answer(decision_item(await _found(service, caller, request.path_params["action_id"])))


async def evidence(request: Request) -> Response:
    """The version 1 evidence bundle of one action, derived as it is read."""
    service, caller = await anybody(request)
    found = await _found(service, caller, request.path_params["action_id"])

    def read() -> dict[str, Any]:
        try:
            case = service.store.case(found.action_id)
        except ReviewNotFound:
            case = None
        authentic = service.store.authentic(found.action_id)
        return bundle(found, case, service.bundle_key, time.time_ns() // 1_000, authentic=authentic)

    return answer(await service.reading(read))


async def _found(service: Service, caller: Principal, action_id: str) -> StoredDecision:
    """The decision, if the caller may see it. Raises `Problem` 404: what others have isn't there."""
    found = await service.reading(service.store.decision, action_id)
    if found is None or not reading.may_see(caller, found.app_id, found.action_type):
        raise Problem(404, "decision not found")
    return found


routes = [
    Route("/v1/capabilities", capabilities, methods=["GET"]),
    Route("/v1/action-types", action_types, methods=["GET"]),
    Route("/v1/actions/recent", recent, methods=["GET"]),
    Route("/v1/decisions/{action_id}", one_decision, methods=["GET"]),
    Route("/v1/decisions/{action_id}/evidence", evidence, methods=["GET"]),
]
