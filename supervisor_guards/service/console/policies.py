"""Versions of policies in the service: what they say, how they differ, what they would say, and which is in force."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from supervisor_guards.policy.document import PolicyError
from supervisor_guards.service.console import pages, showing
from supervisor_guards.service.console.service_source import ServiceSource
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import IN_A_LIST, mark, path, text
from supervisor_guards.service.core import Service
from supervisor_guards.service.differences import difference, rule_item
from supervisor_guards.service.policies import StoredPolicy
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.replaying import WINDOWS, Replay
from supervisor_guards.service.versions import PolicyNotFound, failures_of

__all__ = ["cursor", "routes"]

_PAGE = 50
_LINES = "application/x-ndjson"
_WITHOUT_SCRIPT = 5_000
"""Decisions of a replay that answers with a page."""
_NAMES = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}


async def versions(visit: Visit) -> Response:
    """Every version, the newest first; those in force say so."""
    return await visit.page("policies.html", await visit.reading(_versions, _service(visit), visit))


async def one(visit: Visit) -> Response:
    """A version: its rules, its text, and how it differs from what is in force."""
    return await visit.page("policy.html", {**await _shown(visit), "tried": None, "failures": None})


async def attempt(visit: Visit) -> Response:
    """What the version says to a payload. Nothing is stored."""
    form = await visit.form()
    shown = await _shown(visit)
    tried: dict[str, Any] = {"payload": form.get("payload", ""), "context": form.get("context", "")}
    tried |= await visit.reading(_tried, shown["stored"], tried["payload"], tried["context"])
    status = 422 if tried["fault"] else 200
    return await visit.page("policy.html", {**shown, "tried": tried, "failures": None}, status)


async def replay(visit: Visit) -> Response:
    """What the version would have said to what was recorded: as it goes for a script, else of the newest ones."""
    window = visit.asked.get("window", "24h")
    if window not in WINDOWS:
        raise Problem(422, f"window {window[:40]!r}: choose one of {', '.join(WINDOWS)}")
    shown = await _shown(visit)
    stored: StoredPolicy = shown["stored"]
    service = _service(visit)
    if _LINES in visit.request.headers.get("accept", ""):
        going = Replay(service.store, stored.compiled(), window)
        return StreamingResponse(_going(visit, going), headers=pages.HEADERS, media_type=_LINES)
    limited = Replay(service.store, stored.compiled(), window, _WITHOUT_SCRIPT)
    while await service.comparing(limited.step) is not None:
        pass
    values = {**shown, "result": _result(limited), "limit": _WITHOUT_SCRIPT}
    return await visit.page("replayed.html", values)


async def _going(visit: Visit, going: Replay) -> AsyncIterator[bytes]:
    """A line for each page that was judged, and one with the result; it ends where the browser goes away."""
    service = _service(visit)
    expected = await service.reading(going.expected)
    while (done := await service.comparing(going.step)) is not None:
        yield msgspec.json.encode({"done": done, "expected": max(expected, done)}) + b"\n"
        if service.wakeups.ending:
            return
    values = {"result": _result(going), "limit": None}
    html = pages.fragment(visit.request, "replay_result.html", values)
    yield msgspec.json.encode({"html": html}) + b"\n"


def _result(done: Replay) -> dict[str, Any]:
    found = done.result()
    differing = [
        {
            "action_id": one["action_id"],
            "action_type": text(one["action_type"], IN_A_LIST),
            "before": mark(one["recorded"]["decision"]),
            "after": mark(one["replayed"]["decision"]),
            "reasons": text(", ".join(one["replayed"]["reasons"]), IN_A_LIST),
        }
        for one in found["divergences"]
    ]
    return {**found, "divergences": differing}


async def promote(visit: Visit) -> Response:
    """Put the version in force, in the place of those that share an action type with it."""
    visit.visitor.demand("administrator")
    policy_id, form = visit.request.path_params["policy_id"], await visit.form()
    if form.get("sure") != "yes":
        raise Problem(422, "nothing was promoted: tick that this version shall judge from now on")
    try:
        await visit.reading(_service(visit).versions.promote, policy_id, visit.visitor.name)
    except PolicyNotFound as error:
        raise Problem(404, str(error)) from None
    except PolicyError as error:
        shown = await _shown(visit)
        return await visit.page("policy.html", {**shown, "tried": None, "failures": text(error, 10_000)}, 422)
    return visit.to(f"/policies/{path(policy_id)}")


async def _shown(visit: Visit) -> dict[str, Any]:
    service = _service(visit)
    try:
        return await service.comparing(_version, service, visit)
    except PolicyNotFound as error:
        raise Problem(404, str(error)) from None
    except PolicyError as error:
        raise Problem(422, f"this release doesn't take the text of this version any more: {error}") from None


def _service(visit: Visit) -> Service:
    assert isinstance(visit.source, ServiceSource)
    return visit.source.service


def _versions(service: Service, visit: Visit) -> dict[str, Any]:
    before = cursor(visit.asked.get("before"))
    found = service.versions.list(_PAGE, action_type=visit.asked.get("action"), before=before)
    more = f"{found[-1].created_at}.{found[-1].id}" if len(found) == _PAGE else None
    rows = [_row(one) for one in found]
    return {"here": "policies", "rows": rows, "more": more, "asked": visit.asked}


def _version(service: Service, visit: Visit) -> dict[str, Any]:
    stored = service.versions.get(visit.request.path_params["policy_id"])
    policy = stored.compiled()
    other_id = visit.asked.get("against")
    other = service.versions.get(other_id) if other_id else service.versions.in_force_for(policy.actions)
    differs = None
    if other is not None and other.id != stored.id:
        found = difference(other.compiled(), policy)
        differs = {**found, "diff": _lines(found["diff"])}
    return {
        "here": "policies",
        "stored": stored,
        "row": _row(stored),
        "source": text(stored.source, 100_000),
        "rules": [{name: text(said) for name, said in rule_item(rule).items()} for rule in policy.rules],
        "default": mark(policy.default.value),
        "tests": len(policy.tests),
        "failing": [text(failure) for failure in failures_of([policy])],
        "differs": differs,
        "others": [_row(one) for one in service.versions.list(_PAGE, action_type=policy.actions[0])],
        "windows": [(name, _NAMES.get(name, name)) for name in WINDOWS],
        "may_promote": visit.visitor.at_least("administrator") and not stored.active,
    }


def _row(stored: StoredPolicy) -> dict[str, Any]:
    state = "in-force" if stored.active else "retired" if stored.promoted_at is not None else "stored"
    return {
        "id": stored.id,
        "label": text(stored.label, IN_A_LIST),
        "actions": text(", ".join(json.loads(stored.action_types)), IN_A_LIST),
        "mark": mark(state),
        "created_at": stored.created_at,
        "created_by": text(stored.created_by, IN_A_LIST),
        "promoted_at": stored.promoted_at,
        "retired_at": stored.retired_at,
    }


def _tried(stored: StoredPolicy, payload: str, context: str) -> dict[str, Any]:
    """The verdict, or what is wrong with what was given."""
    try:
        given = msgspec.json.decode(payload, type=dict[str, Any])
        around = msgspec.json.decode(context, type=dict[str, Any]) if context.strip() else {}
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        return {"fault": f"no JSON object: {text(error, 200)}", "mark": None, "reasons": "", "hits": []}
    verdict = stored.compiled().evaluate(given, around)
    said = mark(verdict.outcome.value)
    return {
        "fault": None,
        "mark": said,
        "reasons": text(", ".join(verdict.reasons)),
        "hits": showing.hits(verdict.hits),
    }


def _lines(diff: str | None) -> list[tuple[str, str]] | None:
    """Each line of a unified diff, and what it is; None where the texts are too long for one."""
    if diff is None:
        return None
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return [(kinds.get(line[:1], "kept"), text(line, 2_000)) for line in diff.split("\n") if line]


def cursor(given: str | None) -> tuple[int, str] | None:
    """Time and id of the last row of the page before, as the address has them. Raises `Problem` 422."""
    if given is None:
        return None
    moment, _, policy_id = given.partition(".")
    if not (moment.isascii() and moment.isdigit() and len(moment) < 19 and policy_id.isalnum()):
        raise Problem(422, f"before={given[:40]!r}: follow the link of the page before")
    return int(moment), policy_id


routes = [
    ("/policies", "GET", versions),
    ("/policies/{policy_id}", "GET", one),
    ("/policies/{policy_id}/replay", "GET", replay),
    ("/policies/{policy_id}/try", "POST", attempt),
    ("/policies/{policy_id}/promote", "POST", promote),
]
