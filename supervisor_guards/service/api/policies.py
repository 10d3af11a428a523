"""Policies: versions are stored, put in force and taken out of it by administrators, and read by everybody else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.policy.document import PolicyError
from supervisor_guards.service import bodies
from supervisor_guards.service.api.calls import anybody, choice, number
from supervisor_guards.service.core import Service
from supervisor_guards.service.differences import difference, rule_item
from supervisor_guards.service.items import policy_item
from supervisor_guards.service.policies import StoredPolicy
from supervisor_guards.service.principals import Integration, Person, Role, demand
from supervisor_guards.service.problems import Problem, answer
from supervisor_guards.service.replaying import WINDOWS, Replay
from supervisor_guards.service.versions import Change, PolicyNotFound, VersionTaken, failures_of, read_one

PAGE = 100
"""Versions in one page, at most."""
_SOURCE = "yaml_source"
_PLACE = re.compile(r"\A[^\n]*?:(\d+): ")
_CURSOR = re.compile(r"(\d{1,18})\.([0-9a-f]{32})")
_NDJSON = "application/x-ndjson"

_encode = msgspec.json.Encoder().encode


class Wanted(msgspec.Struct):
    """The body of `POST /v1/policies`. `action_type` is version 1's: the document itself says what it judges."""

    yaml_source: str
    action_type: str | None = None
    promote: bool = False


class Tried(msgspec.Struct):
    """The body of `POST /v1/policies/{id}/test`."""

    payload: dict[str, Any]
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    request: dict[str, Any] = msgspec.field(default_factory=dict)


async def create(request: Request) -> Response:
    """Store a document as a version, and put it in force with `promote`. 200 where it is there already."""
    service, person = await _person(request, "administrator")
    wanted = bodies.decode(await bodies.read(request, service.config.max_body_bytes), Wanted)

    def work() -> Change:
        policy = read_one(wanted.yaml_source, _SOURCE)
        if wanted.action_type not in (None, *policy.actions):
            said = ", ".join(policy.actions)
            raise _unfit("action_type", f"the document judges {said}: send one of these, or write `action:` into it")
        return service.versions.create(policy, person.label, promote=wanted.promote)

    with _refusals():
        change = await service.reading(work)
    return await _changed(service, change, 201 if change.made else 200)


async def list_all(request: Request) -> Response:
    """A page of versions, newest first, without their text; the `Link` header names the next page."""
    service, _ = await _person(request, "viewer")
    action_type = request.query_params.get("action_type")
    active = choice(request, "active", ("true", "false"))
    limit = number(request, "limit", PAGE, 1, PAGE)
    before = _cursor(request)

    def read() -> list[StoredPolicy]:
        chosen = None if active is None else active == "true"
        return service.versions.list(limit, action_type=action_type, active=chosen, before=before)

    found = await service.reading(read)
    headers = {}
    if len(found) == limit:
        last = found[-1]
        asked = {"action_type": action_type, "active": active, "limit": limit, "before": f"{last.created_at}.{last.id}"}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        headers["Link"] = f'</v1/policies?{query}>; rel="next"'
    return answer([policy_item(one) for one in found], headers=headers)


async def one_policy(request: Request) -> Response:
    """One version, with its text, its rules, and those of its own tests that fail."""
    service, _ = await _person(request, "viewer")

    def read() -> dict[str, Any]:
        stored = service.versions.get(request.path_params["policy_id"])
        policy = stored.compiled()
        return {
            **policy_item(stored),
            _SOURCE: stored.source,
            "default": policy.default.value,
            "rules": [rule_item(rule) for rule in policy.rules],
            "tests": len(policy.tests),
            "failures": failures_of([policy]),
        }

    with _refusals():
        return answer(await service.comparing(read))


async def promote(request: Request) -> Response:
    """Put a version in force, in the place of those that share an action type with it."""
    service, person = await _person(request, "administrator")
    with _refusals():
        change = await service.reading(service.versions.promote, request.path_params["policy_id"], person.label)
    return await _changed(service, change)


async def deactivate(request: Request) -> Response:
    """Take a version out of force, with nothing in its place: its action types have no policy then."""
    service, person = await _person(request, "administrator")
    with _refusals():
        change = await service.reading(service.versions.deactivate, request.path_params["policy_id"], person.label)
    return await _changed(service, change)


async def test(request: Request) -> Response:
    """What a version says to a payload. Nothing is stored."""
    service, _ = await _person(request, "viewer")
    tried = bodies.decode(await bodies.read(request, service.config.max_body_bytes), Tried)

    def work() -> dict[str, Any]:
        policy = service.versions.get(request.path_params["policy_id"]).compiled()
        verdict = policy.evaluate(tried.payload, tried.context, tried.request)
        return {
            "decision": verdict.outcome.value,
            "hits": [msgspec.structs.asdict(hit) for hit in verdict.hits],
            "reasons": list(verdict.reasons),
            "policy_version": policy.label,
        }

    with _refusals():
        return answer(await service.comparing(work))


async def diff(request: Request) -> Response:
    """How a version differs from `against`, another's id; else from the one in force for its action types."""
    service, _ = await _person(request, "viewer")
    against = request.query_params.get("against")

    def work() -> dict[str, Any]:
        stored = service.versions.get(request.path_params["policy_id"])
        if against is not None:
            other = service.versions.get(against)
        else:
            found = service.versions.in_force_for(json.loads(stored.action_types))
            if found is None:
                raise Problem(404, "no version is in force for its action types: say which with `against`")
            other = found
        return difference(other.compiled(), stored.compiled())

    with _refusals():
        return answer(await service.comparing(work))


async def replay(request: Request) -> Response:
    """What a version would have said to the recorded decisions of a window.

    Where the caller takes `application/x-ndjson`, lines tell how far it is, and the last one has the result. The work
    ends when the caller goes.
    """
    service, _ = await _person(request, "viewer")
    window = choice(request, "window", tuple(WINDOWS)) or "24h"
    limit = number(request, "limit", 0, 1, 10**9) or None
    with _refusals():
        stored = await service.reading(service.versions.get, request.path_params["policy_id"])
        policy = await service.comparing(stored.compiled)
    run = Replay(service.store, policy, window, limit)
    if _NDJSON in request.headers.get("accept", ""):
        return StreamingResponse(_lines(request, service, run), 200, {"Cache-Control": "no-store"}, _NDJSON)
    async for _ in _steps(request, service, run):
        pass
    return answer(run.result())


async def bundle(request: Request) -> Response:
    """The versions in force, those of an integration's scopes alone; 304 where the caller has them (`ETag`)."""
    service, caller = await anybody(request)
    found = service.policies.in_force
    if isinstance(caller, Integration):
        found = [one for one in found if any(map(caller.may, json.loads(one.action_types)))]
    items = [{**policy_item(one), _SOURCE: one.source} for one in found]
    tag = f'"{hashlib.sha256(_encode(items)).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if known & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    return answer({"policies": items}, headers=headers)


async def _steps(request: Request, service: Service, run: Replay) -> AsyncIterator[int]:
    """One page after the other, while the caller is there and this process goes on. Raises `Problem`."""
    while (done := await service.comparing(run.step)) is not None:
        yield done
        if await request.is_disconnected():
            raise Problem(400, "the caller went before the replay was done")
        if service.wakeups.ending:
            raise Problem(503, "this process is about to end: ask again", {"Retry-After": "1"})


async def _lines(request: Request, service: Service, run: Replay) -> AsyncIterator[bytes]:
    """`{"done", "expected"}` after each page, at the end `{"result"}` or, as no status can say it any more,
    `{"detail"}`."""
    try:
        expected = await service.comparing(run.expected)
        yield _encode({"done": 0, "expected": expected}) + b"\n"
        async for done in _steps(request, service, run):
            yield _encode({"done": done, "expected": max(done, expected)}) + b"\n"
        yield _encode({"result": run.result()}) + b"\n"
    except Problem as problem:
        yield _encode({"detail": problem.detail}) + b"\n"
    except StoreUnavailable:
        yield _encode({"detail": "the database can't be reached: try again"}) + b"\n"


async def _changed(service: Service, change: Change, status: int = 200) -> Response:
    """The version as it is now; it judges in this process at once."""
    await service.reading(service.policies.refresh)
    retired = {"retired": change.retired, "uncovered": change.uncovered}
    return answer({**policy_item(change.policy), **retired}, status)


async def _person(request: Request, role: Role) -> tuple[Service, Person]:
    service, caller = await anybody(request)
    return service, demand(caller, role)


@contextmanager
def _refusals() -> Iterator[None]:
    """What the versions refuse, as the caller gets it."""
    try:
        yield
    except PolicyNotFound as error:
        raise Problem(404, str(error)) from None
    except VersionTaken as error:
        raise Problem(409, str(error)) from None
    except PolicyError as error:
        raise Problem(422, [_fault(problem) for problem in error.problems]) from None


def _fault(problem: str) -> dict[str, Any]:
    """A fault of the document; `line` where it has one."""
    place = _PLACE.match(problem)
    line = None if place is None else int(place[1])
    return {"loc": ["body", _SOURCE], "msg": problem, "line": line, "type": "value_error"}


def _unfit(name: str, message: str) -> Problem:
    return Problem(422, [{"loc": ["body", name], "msg": message, "type": "value_error"}])


def _cursor(request: Request) -> tuple[int, str] | None:
    text = request.query_params.get("before")
    if text is None:
        return None
    parts = _CURSOR.fullmatch(text)
    if parts is None:
        raise Problem(422, [{"loc": ["query", "before"], "msg": "take it from the Link header", "type": "value_error"}])
    return int(parts[1]), parts[2]


routes = [
    Route("/v1/policies", create, methods=["POST"]),
    Route("/v1/policies", list_all, methods=["GET"]),
    Route("/v1/policies/bundle", bundle, methods=["GET"]),
    Route("/v1/policies/{policy_id}", one_policy, methods=["GET"]),
    Route("/v1/policies/{policy_id}/promote", promote, methods=["POST"]),
    Route("/v1/policies/{policy_id}/deactivate", deactivate, methods=["POST"]),
    Route("/v1/policies/{policy_id}/test", test, methods=["POST"]),
    Route("/v1/policies/{policy_id}/diff", diff, methods=["GET"]),
    Route("/v1/policies/{policy_id}/replay", replay, methods=["GET", "POST"]),
]
