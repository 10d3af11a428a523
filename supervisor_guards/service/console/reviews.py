"""The queue of reviews, and the screen on which one is decided."""

from __future__ import annotations

from typing import Any, Literal, get_args

from starlette.responses import Response

from supervisor_guards._desk import (
    DecisionQuery,
    NotAReviewer,
    OwnAction,
    ReviewNotFound,
    ReviewQuery,
    ReviewResolved,
    own_name,
)
from supervisor_guards._model import PRIORITIES, ReviewStatus
from supervisor_guards._records import Review, StoredDecision
from supervisor_guards.embedded.rows import now_us
from supervisor_guards.service.console import showing
from supervisor_guards.service.console.decisions import number
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import path, text, word
from supervisor_guards.service.problems import Problem

__all__ = ["routes"]

_PAGE = 50
_MOST_NOTES = 10_000
_STATUSES = get_args(ReviewStatus)
_CHOSEN = "case."
"""What the fields of a batch begin with: the rest is an action id."""


async def queue(visit: Visit) -> Response:
    """Pending reviews, the highest priority first and then those that wait longest; others newest first."""
    status = visit.asked.get("status", "pending")
    if status not in (*_STATUSES, "all"):
        raise Problem(422, f"status {status[:40]!r}: choose one of {', '.join(_STATUSES)}, all")
    priority = visit.asked.get("priority")
    if priority is not None and priority not in PRIORITIES:
        raise Problem(422, f"priority {priority[:40]!r}: choose one of {', '.join(PRIORITIES)}")
    return await visit.page("reviews.html", await visit.reading(_queue, visit, status))


async def one(visit: Visit) -> Response:
    """Everything that is needed to decide."""
    values = await visit.reading(_case, visit, visit.request.path_params["action_id"])
    said = visit.asked.get("done")
    done = f"You have {said} this action." if said in ("approved", "rejected") else None
    return await visit.page("review.html", {**values, "conflict": None, "refused": None, "done": done})


async def decide(visit: Visit) -> Response:
    """Reject; or approve, which is asked twice and takes the words of a person who has read it."""
    visit.visitor.demand("reviewer")
    action_id, form = visit.request.path_params["action_id"], await visit.form()
    notes = form.get("notes", "").strip()
    if len(notes) > _MOST_NOTES:
        raise Problem(422, f"notes of {len(notes)} characters: write at most {_MOST_NOTES}")
    wanted = form.get("decision", "")
    if wanted == "approve" or (wanted == "approved" and form.get("read") != "yes"):
        return await _confirming(visit, action_id, notes, missed=wanted == "approved")
    if wanted not in ("approved", "rejected"):
        raise Problem(422, f"decision {wanted[:40]!r}: choose approve or rejected")
    try:
        await visit.reading(_resolve, visit, action_id, wanted, notes)
    except ReviewResolved as error:
        values = await visit.reading(_case, visit, action_id)
        conflict = {"status": word(error.status).lower(), "by": text(error.approver), "notes": text(notes, _MOST_NOTES)}
        return await visit.page("review.html", {**values, "conflict": conflict, "refused": None, "done": None}, 409)
    except (OwnAction, NotAReviewer) as error:
        values = await visit.reading(_case, visit, action_id)
        refused = {"conflict": None, "refused": text(error), "done": None}
        return await visit.page("review.html", {**values, **refused}, 403)
    return visit.to(f"/reviews/{path(action_id)}?done={wanted}")


async def reject_many(visit: Visit) -> Response:
    """Reject the chosen ones: first shown once more, with room for notes, then done."""
    visit.visitor.demand("reviewer")
    form = await visit.form()
    chosen = [name.removeprefix(_CHOSEN) for name in form if name.startswith(_CHOSEN)]
    if not chosen:
        raise Problem(422, "no review was chosen: tick those to reject")
    if form.get("sure") != "yes":
        return await visit.page("reject_many.html", await visit.reading(_chosen, visit, chosen))
    done = await visit.reading(_reject_all, visit, chosen, form.get("notes", "").strip()[:_MOST_NOTES])
    return await visit.page("rejected_many.html", {"here": "reviews", "rows": done})


async def _confirming(visit: Visit, action_id: str, notes: str, *, missed: bool) -> Response:
    values = await visit.reading(_case, visit, action_id)
    if values["own"] is not None:
        refused = text(OwnAction(values["own"], action_id))
        said = {"conflict": None, "refused": refused, "done": None}
        return await visit.page("review.html", {**values, **said}, 403)
    if not values["row"]["pending"]:
        case: Review = values["case"]
        conflict = {"status": word(case.status).lower(), "by": text(case.approver), "notes": text(notes, _MOST_NOTES)}
        return await visit.page("review.html", {**values, "conflict": conflict, "refused": None, "done": None}, 409)
    status = 422 if missed else 200
    return await visit.page("approve.html", {**values, "notes": notes, "missed": missed}, status)


def _queue(visit: Visit, status: str) -> dict[str, Any]:
    desk, asked = visit.source.desk(), visit.asked
    query = ReviewQuery(
        status=None if status == "all" else status,
        priority=asked.get("priority"),
        action_type=asked.get("action"),
        text=asked.get("q"),
    )
    find = desk.queue if status == "pending" else desk.find_reviews
    found = find(query, _PAGE, number(asked, "from"))
    now = now_us()
    return {
        "here": "reviews",
        "status": status,
        "statuses": (*_STATUSES, "all"),
        "priorities": PRIORITIES,
        "asked": asked,
        "rows": [showing.review_row(case, now) for case in found.rows],
        "cursor": found.cursor,
        "complete": found.complete,
        "waiting": desk.waiting(),
        "choices": desk.choices(),
        "may_decide": visit.visitor.at_least("reviewer") and desk.read_only is None,
        "read_only": desk.read_only,
    }


def _case(visit: Visit, action_id: str) -> dict[str, Any]:
    desk = visit.source.desk()
    try:
        case = desk.review(action_id)
    except ReviewNotFound as error:
        raise Problem(404, f"{text(error)}. It may have been deleted after its time.") from None
    decision: StoredDecision | None = desk.decision(action_id)
    may_review = visit.visitor.at_least("reviewer")
    principal = visit.visitor.principal
    store = visit.source.store()
    return {
        "here": "reviews",
        "case": case,
        "row": showing.review_row(case, now_us()),
        "facts": showing.review_facts(case, visit.source.application(case.app_id)),
        "hits": showing.hits(decision.hits if decision is not None else (), case.reasons),
        "payload": showing.json_of(case.payload),
        "context": showing.json_of(decision.context if decision is not None else None),
        "decision_there": decision is not None,
        "next": showing.what_next(case),
        "own": own_name(case, principal) if may_review else None,
        "may_decide": may_review and desk.read_only is None,
        "read_only": desk.read_only,
        "authentic": None if store is None or decision is None else store.authentic(action_id),
        "before": _before(visit, case),
    }


def _before(visit: Visit, case: Review) -> dict[str, Any] | None:
    """What else the same person asked for lately, where somebody is known."""
    if case.subject is None:
        return None
    query = DecisionQuery(subject=case.subject, since=case.created_at - 3_600_000_000)
    found = visit.source.desk().find_decisions(query, 6)
    return {"rows": [showing.decision_row(row) for row in found.rows if row.action_id != case.action_id][:5]}


def _resolve(visit: Visit, action_id: str, decision: Literal["approved", "rejected"], notes: str) -> None:
    try:
        visit.source.desk().resolve(action_id, decision, notes or None, visit.visitor.principal)
    except ReviewNotFound as error:
        raise Problem(404, text(error)) from None


def _chosen(visit: Visit, action_ids: list[str]) -> dict[str, Any]:
    desk, now, rows = visit.source.desk(), now_us(), []
    for action_id in action_ids:
        try:
            rows.append(showing.review_row(desk.review(action_id), now))
        except ReviewNotFound:
            continue
    return {"here": "reviews", "rows": rows}


def _reject_all(visit: Visit, action_ids: list[str], notes: str) -> list[dict[str, Any]]:
    """What became of each: one that somebody else decided meanwhile stops no other."""
    done = []
    for action_id in action_ids:
        try:
            visit.source.desk().resolve(action_id, "rejected", notes or None, visit.visitor.principal)
            said, good = "rejected", True
        except (ReviewResolved, ReviewNotFound) as error:
            said, good = text(error), False
        done.append({"action_id": action_id, "said": said, "good": good})
    return done


routes = [
    ("/reviews", "GET", queue),
    ("/reject", "POST", reject_many),
    ("/reviews/{action_id:path}", "GET", one),
    ("/reviews/{action_id:path}", "POST", decide),
]
