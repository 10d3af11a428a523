"""Actions are judged: one, or many at a time; and how they ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards._model import Result
from supervisor_guards.embedded.errors import RowsRefused, StoreUnavailable
from supervisor_guards.embedded.openings import Opening
from supervisor_guards.embedded.rows import DecisionRow, clean_text
from supervisor_guards.service import bodies, reading
from supervisor_guards.service.api.calls import calling, flag, service_of
from supervisor_guards.service.core import Service
from supervisor_guards.service.judging import Asked, Judged, answer_of, judge, not_evaluated, stored_answer
from supervisor_guards.service.principals import Integration
from supervisor_guards.service.problems import Problem, answer
from supervisor_guards.service.reading import decisions_of

logger = logging.getLogger("supervisor_guards")

SHADOW_BODIES = 4
"""So many times the limit is read of a body, to learn whether it is a shadow call's, which must not fail."""
MAX_TEXT = 512
"""Characters of an action type, id, digest, subject, route or tenant."""
MAX_TEXT_BYTES = 1_024
"""UTF-8 bytes of one: an index of PostgreSQL's holds 2,704 of all its columns together."""
MAX_RESULTS = 1_000
_MADE = ("id", "digest")
"""What a client makes itself. The rest can come from a request, and is cleaned instead of refused."""


class Batch(msgspec.Struct):
    """The body of `POST /v1/actions/evaluate/batch`."""

    items: list[msgspec.Raw]


class _Said(msgspec.Struct):
    id: str | None = None
    shadow: bool = False


class Ended(msgspec.Struct):
    """The body of `POST /v1/actions/{action_id}/result`."""

    result: Literal["returned", "raised"]


class Ending(msgspec.Struct):
    """An item of `POST /v1/actions/results`."""

    id: str
    result: Literal["returned", "raised"]


class Endings(msgspec.Struct):
    """The body of `POST /v1/actions/results`."""

    items: list[Ending]


async def evaluate(request: Request) -> Response:
    """Judge one action; what is answered was committed before, unless `dry_run`."""
    service, integration = await calling(request)
    limit = service.config.max_body_bytes
    raw = await bodies.read(request, limit, most=SHADOW_BODIES * limit)
    if len(raw) > limit:
        return _unjudged(service, await service.reading(_too_large, raw, limit))
    asked = bodies.decode(raw, Asked)
    dry_run = flag(request, "dry_run")
    wait = await service.limiter.take(integration)
    if wait:
        refused = _too_many(service, integration, wait)
        if not asked.shadow or asked.id is not None:  # a client of ours tells it again later
            raise refused
        return _unjudged(service, not_evaluated(None, refused.detail))
    if dry_run:
        return answer(answer_of(_judged(service, integration, asked), asked, dry_run=True))
    try:
        (given,) = await _answers(service, integration, [asked])
    except StoreUnavailable as error:
        if not asked.shadow or asked.id is not None:  # a client of ours tells it again later
            raise
        logger.error("a shadow decision is lost: %s", error)
        return _unjudged(service, not_evaluated(None, "the service can't reach its database"))
    if isinstance(given, _NotStored) and asked.shadow and asked.id is None:
        return _unjudged(service, not_evaluated(None, given.why))
    if isinstance(given, Problem):
        raise given
    return answer(given)


class _NotStored(Problem):
    """One action can't be stored, whatever is tried: its caller's fault, or ours."""

    def __init__(self, error: Exception) -> None:
        refused = isinstance(error, RowsRefused)
        self.why = "the database takes no such values" if refused else "the service failed: its log says why"
        logger.error("a decision can't be stored: %s", error, exc_info=None if refused else error)
        told = [{"loc": ["body"], "msg": self.why, "type": "value_error"}]
        super().__init__(422 if refused else 500, told if refused else self.why)


def _unjudged(service: Service, given: dict[str, Any]) -> Response:
    service.instruments.dropped()
    return answer(given)


def _too_many(service: Service, integration: Integration, wait: int) -> Problem:
    limit = service.limiter.limit(integration)
    return Problem(429, f"more than {limit} actions a minute: try again in {wait} s", {"Retry-After": str(wait)})


def _too_large(raw: bytes, limit: int) -> dict[str, Any]:
    """The answer to a body above the limit: a shadow call runs. Raises `Problem`."""
    asked = bodies.decode(raw, _Said)
    if not asked.shadow:
        raise bodies.too_large(limit)
    return not_evaluated(asked.id, f"the body is larger than {limit} bytes")


async def evaluate_batch(request: Request) -> Response:
    """Judge many actions, each by itself: an error of one is its item's answer."""
    service, integration = await calling(request)
    raw = await bodies.read(request, service.config.max_body_bytes)
    items = bodies.decode(raw, Batch).items
    if len(items) > service.config.max_batch:
        raise Problem(413, f"{len(items)} items in one batch: at most {service.config.max_batch} are taken")
    wait = await service.limiter.take(integration, len(items))
    if wait:
        raise _too_many(service, integration, wait)
    asked: list[Asked | Problem] = []
    for item in items:
        try:
            asked.append(msgspec.json.decode(item, type=Asked))
        except msgspec.ValidationError as error:
            asked.append(Problem(422, str(error)))
    given = await _answers(service, integration, asked)
    ids = [_id_of(item) for item in items]
    return answer({"items": [_item(one, named) for one, named in zip(given, ids, strict=True)]})


async def result(request: Request) -> Response:
    """Note how an action of this integration ended; the first word counts."""
    service, integration = await calling(request)
    action_id = request.path_params["action_id"]
    ended = bodies.decode(await bodies.read(request, service.config.max_body_bytes), Ended)
    found = await service.reading(service.store.decision, action_id)
    if found is None or not reading.may_see(integration, found.app_id, found.action_type):
        raise Problem(404, "decision not found")
    if found.result is None:
        await service.reading(service.store.write, [], [(action_id, ended.result)])
    return answer({"action_id": action_id, "result": found.result or ended.result})


async def results(request: Request) -> Response:
    """Note how several actions ended. What isn't this integration's is passed over: the caller can't mend it."""
    service, integration = await calling(request)
    told = bodies.decode(await bodies.read(request, service.config.max_body_bytes), Endings).items
    if len(told) > MAX_RESULTS:
        raise Problem(413, f"{len(told)} results in one request: at most {MAX_RESULTS} are taken")
    noted = await service.reading(_note, service, integration, told)
    return answer({"noted": noted})


def _note(service: Service, integration: Integration, told: Sequence[Ending]) -> int:
    with service.store.reading() as held:
        known = decisions_of(held, [clean_text(one.id) for one in told])
    own: list[tuple[str, Result]] = [
        (one.id, one.result)
        for one in told
        if (row := known.get(one.id)) is not None and reading.may_see(integration, row.app_id, row.action_type)
    ]
    unheard = [one for one in own if known[one[0]].result is None]
    if unheard:
        service.store.write([], unheard)
    return len(own)


async def _answers(
    service: Service, integration: Integration, asked: Sequence[Asked | Problem]
) -> list[dict[str, Any] | Problem]:
    """The answer or problem of each, all of them committed."""
    judged: list[tuple[Asked, Judged] | Problem] = []
    for one in asked:
        try:
            judged.append(one if isinstance(one, Problem) else (one, _judged(service, integration, one)))
        except Problem as problem:
            judged.append(problem)
    items: list[tuple[DecisionRow, Opening | None]] = [
        (pair[1].row, pair[1].opening) for pair in judged if not isinstance(pair, Problem)
    ]
    written = iter(await service.scribe.write(items) if items else [])
    given: list[dict[str, Any] | Problem] = []
    for pair in judged:
        if isinstance(pair, Problem):
            given.append(pair)
            continue
        question, verdict = pair
        stored = next(written)
        if isinstance(stored, Exception):
            given.append(_NotStored(stored))
            continue
        if not stored.fresh:
            given.append(await _again(service, verdict, question))
            continue
        if stored.case_id is not None and question.proceeds:
            await service.reading(service.store.mark_executed, verdict.row.action_id)
        service.instruments.decided(verdict.row)
        given.append(answer_of(verdict, question, stored.case_id))
    return given


def _judged(service: Service, integration: Integration, asked: Asked) -> Judged:
    """The verdict on one action. Raises `Problem` where it may not be asked, or a name is too long."""
    for name in ("action_type", "id", "digest", "subject", "route", "tenant"):
        value = getattr(asked, name)
        if value is None:
            continue
        cleaned = clean_text(value)
        long = len(value) > MAX_TEXT or len(cleaned.encode()) > MAX_TEXT_BYTES
        if not value or long or (name in _MADE and cleaned != value):
            wanted = f"give 1 to {MAX_TEXT} characters ({MAX_TEXT_BYTES} bytes in UTF-8) that any database takes"
            raise Problem(422, [{"loc": ["body", name], "msg": wanted, "type": "value_error"}])
        setattr(asked, name, cleaned)
    if not integration.may(asked.action_type):
        raise Problem(403, f"scope {asked.action_type!r} not granted")
    return judge(asked, integration, service.policies.current(shadow=asked.shadow), service.terms)


async def _again(service: Service, judged: Judged, asked: Asked) -> dict[str, Any] | Problem:
    """The answer that a retry gets: the first one. An id that somebody used for something else is a conflict."""
    row = judged.row
    found = await service.reading(service.store.decision, row.action_id)
    if found is None or _asked_by(found) != _asked_by(row):
        return Problem(409, f"the id {row.action_id!r} is taken by another action: make a new one for each action")
    if asked.proceeds and found.case_id == found.action_id:
        # The first time may have ended between the two: what runs unasked must never be approved for another run.
        await service.reading(service.store.mark_executed, found.action_id)
    return stored_answer(found)


def _asked_by(row: DecisionRow) -> tuple[object, ...]:
    """By whom and about what: the same for a retry."""
    return row.app_id, row.action_type, row.digest, row.enforced, clean_text(row.payload or "")


def _item(given: dict[str, Any] | Problem, named: str | None) -> dict[str, Any]:
    if isinstance(given, Problem):
        return {"id": named, "error": {"status": given.status, "detail": given.detail}}
    return given


def _id_of(item: msgspec.Raw) -> str | None:
    """What an item calls itself, whether or not the rest of it can be read."""
    try:
        return msgspec.json.decode(item, type=_Said).id
    except msgspec.ValidationError:
        return None


routes = [
    Route("/v1/actions/evaluate", evaluate, methods=["POST"]),
    Route("/v1/actions/evaluate/batch", evaluate_batch, methods=["POST"]),
    Route("/v1/actions/results", results, methods=["POST"]),
    Route("/v1/actions/{action_id}/result", result, methods=["POST"]),
]

__all__ = ["routes", "service_of"]
