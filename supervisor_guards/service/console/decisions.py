"""The decision log, newest first, and the page of one decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from supervisor_guards._desk import DecisionQuery, Desk, ReviewNotFound
from supervisor_guards._model import MODES
from supervisor_guards._records import StoredDecision
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.service.console import showing
from supervisor_guards.service.console.again import Again, judged_again
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import mark, text, verdict
from supervisor_guards.service.problems import Problem

__all__ = ["Filters", "routes"]

PAGE = 50
# What can be chosen as outcome, as the desk's query understands it; `allow` leaves more out by `Filters.keeps`.
OUTCOMES: dict[str, dict[str, Any]] = {
    "allow": {"outcome": "allow", "status": "evaluated"},
    "review": {"outcome": "review", "status": "evaluated"},
    "deny": {"outcome": "deny", "status": "evaluated"},
    "would-review": {"would_have": "review"},
    "would-deny": {"would_have": "deny"},
    "unavailable": {"status": "unavailable"},
    "unknown": {"status": "unknown"},
}
_NAMES = ("action", "outcome", "mode", "route", "rule", "q")


class Filters:
    """Which decisions an address asks for. Raises `Problem` 422 for an outcome or mode that there isn't."""

    def __init__(self, asked: Mapping[str, str], since: int | None = None) -> None:
        self.asked = {name: asked[name] for name in _NAMES if name in asked}
        self._outcome = _one_of("outcome", asked.get("outcome"), OUTCOMES)
        self.query = DecisionQuery(
            action_type=asked.get("action"),
            route=asked.get("route"),
            mode=_one_of("mode", asked.get("mode"), MODES),
            rule=asked.get("rule"),
            text=asked.get("q"),
            since=since,
            **(OUTCOMES[self._outcome] if self._outcome else {}),
        )

    def keeps(self, row: StoredDecision) -> bool:
        """Whether a row that was found is one: an observed call that was let pass may not be an allow."""
        return self._outcome != "allow" or verdict(row) == "allow"

    def address(self, **more: object) -> str:
        """The same filters as parameters of another address."""
        return urlencode({**self.asked, **more})


async def log(visit: Visit) -> Response:
    """A page of the log; the first one goes on live."""
    filters = Filters(visit.asked)
    return await visit.page("decisions.html", await visit.reading(_log, visit, filters))


async def one(visit: Visit) -> Response:
    """Everything the record has of a decision."""
    return await visit.page("decision.html", await visit.reading(_one, visit, visit.request.path_params["action_id"]))


def _log(visit: Visit, filters: Filters) -> dict[str, Any]:
    desk, before = visit.source.desk(), number(visit.asked, "before")
    found = desk.find_decisions(filters.query, PAGE, before)
    rows = [row for row in found.rows if filters.keeps(row)]
    newest = found.rows[0].id if found.rows else 0
    return {
        "here": "decisions",
        "asked": filters.asked,
        "filtered": bool(filters.asked),
        "first": before is None,
        "rows": [showing.decision_row(row) for row in rows],
        "older": filters.address(before=found.cursor) if found.cursor is not None else None,
        "complete": found.complete,
        "stream": filters.address(after=newest),
        "everything": filters.address(),
        "choices": desk.choices(),
        "outcomes": tuple(OUTCOMES),
        "modes": MODES,
    }


def _one(visit: Visit, action_id: str) -> dict[str, Any]:
    desk = visit.source.desk()
    row = desk.decision(action_id)
    if row is None:
        raise Problem(
            404, f"No decision on an action {text(action_id, 80)!r}: it was deleted after its time, or never was."
        )
    store = visit.source.store()
    return {
        "here": "decisions",
        "row": showing.decision_row(row),
        "facts": showing.decision_facts(row, visit.source.application(row.app_id)),
        "mark": mark(verdict(row)),
        "hits": showing.hits(row.hits, row.reasons),
        "payload": showing.json_of(row.payload),
        "context": showing.json_of(row.context),
        "case_id": _case_of(desk, row),
        "authentic": None if store is None else store.authentic(row.action_id),
        "policy": _policy(visit, row),
        "again": _again(visit, row),
    }


def _case_of(desk: Desk, row: StoredDecision) -> str | None:
    """The review this decision waits for, where there is still one."""
    if row.case_id is None:
        return None
    try:
        return desk.review(row.case_id).action_id
    except ReviewNotFound:
        return None


def _policy(visit: Visit, row: StoredDecision) -> dict[str, Any] | None:
    """The document that judged, as far as it is known here."""
    try:
        found = visit.source.policy_text(row.policy_hash) if row.policy_hash else None
    except ConfigurationError:
        found = None
    if found is None:
        return None
    source = None if found.text is None else text(found.text, 100_000)
    return {"label": text(found.label), "origin": text(found.origin), "text": source}


def _again(visit: Visit, row: StoredDecision) -> dict[str, Any] | None:
    try:
        policies = visit.source.policies(shadow=not row.enforced)
    except ConfigurationError:
        policies = None
    if policies is None:
        return None
    found: Again = judged_again(policies, row)
    marked = None if found.verdict is None else mark(found.verdict)
    return {"said": text(found.said), "mark": marked, "reasons": text(", ".join(found.reasons)), "same": found.same}


def number(asked: Mapping[str, str], name: str) -> int | None:
    """A row's number in the address; None where there is none. Raises `Problem` 422."""
    given = asked.get(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise Problem(422, f"{name}={given[:40]!r}: follow the link of the page before")
    return int(given)


def _one_of(name: str, given: str | None, choices: Any) -> Any:
    if given is not None and given not in choices:
        raise Problem(422, f"{name} {given[:40]!r}: choose one of {', '.join(choices)}")
    return given


routes = [("/decisions", "GET", log), ("/decisions/{action_id:path}", "GET", one)]
