"""What a test lets the project do; run as a module with the names of scenarios, it prints one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import django

WAYS = ("/middleware", "/decorator", "/inside", "/permission", "/ninja/operation", "/ninja/inside")


def asked() -> Any:
    """Every way to a refund that needs a review: status, whether its row and review are stored; what was kept."""
    from supervisor_guards import get_guard
    from supervisor_guards_django.models import Decision, Review

    found = {}
    for way in WAYS:
        answer = post(way, 5000)
        case = str(answer["action_id"])
        store = get_guard().supervisor.store
        found[way] = {
            "id": case,
            "status": answer["status"],
            "decision": getattr(store.decision(case), "outcome", None),
            "review": getattr(store.review(case), "status", None),
            "in Django": [
                Decision.objects.filter(action_id=case, outcome="review").count(),
                Review.objects.filter(action_id=case, status="pending").count(),
            ],
        }
    return {"ways": found, "groups": kept()}


def allowed() -> Any:
    """Every way to a refund that is allowed: status, and what the application's own database has kept."""
    return {
        "statuses": [post(way, 5)["status"] for way in WAYS],
        "groups": kept(),
    }


def redeemed() -> Any:
    """A review, approved at a desk, redeemed once by the repeated request; the record verified, and purged."""
    from supervisor_guards import get_guard
    from supervisor_guards.embedded import parts
    from supervisor_guards.embedded.desk import Principal, ReviewDesk
    from supervisor_guards_django import conf
    from supervisor_guards_django.models import Decision, Setting, Tombstone

    held = post("/middleware", 5000)
    store: Any = get_guard().supervisor.store  # type: ignore[attr-defined]
    waiting = [review.action_id for review in store.reviews("pending")]
    state = ReviewDesk(store).resolve(held["action_id"], "approved", "fine", Principal("rita"))
    again = [post("/middleware", 5000, held["action_id"])["status"] for _ in range(2)]
    get_guard().flush()
    report = store.verify([parts.sealer(conf.current().config)])
    total = store.totals(0, ())[0].decisions
    rows = Decision.objects.count()
    purged = store.purge(2**62)
    return {
        "status": held["status"],
        "waiting": held["action_id"] in waiting,
        "state": state.status,
        "again": again,
        "findings": [str(finding) for finding in report.findings],
        "checked": [report.decisions == rows, report.segments > 0, total == rows],
        "purged": [purged > 0, Decision.objects.count() < rows, Tombstone.objects.count() > 0],
        "after": [str(finding) for finding in store.verify([parts.sealer(conf.current().config)]).findings],
        "schema": list(Setting.objects.filter(key="schema").values_list("value", flat=True)),
    }


def kept() -> list[str]:
    """What the views wrote and no rollback took back."""
    from django.contrib.auth.models import Group

    return sorted(name.partition(" ")[0] for name in Group.objects.values_list("name", flat=True))


def bare() -> Any:
    """A view that needs no database of the application's: two statuses, and what the guard's store has."""
    from supervisor_guards import get_guard

    statuses = [post("/bare", amount)["status"] for amount in (5, 50_000)]
    if 200 not in statuses:
        return {"statuses": statuses}
    guard: Any = get_guard()
    guard.flush()
    return {"statuses": statuses, "stored": len(guard.supervisor.store.decisions())}


def post(path: str, amount: int, approval: str = "") -> dict[str, Any]:
    """The answer to a request, with its status."""
    from django.test import Client

    headers = {"Supervisor-Approval": approval} if approval else {}
    answer = Client(raise_request_exception=False).post(
        path, json.dumps({"amount": amount}), content_type="application/json", headers=headers
    )
    told = json.loads(answer.content) if answer["Content-Type"].endswith("json") else {}
    return {**told, "status": answer.status_code, "action_id": told.get("instance", "").rpartition(":")[2]}


SCENARIOS: dict[str, Callable[[], Any]] = {one.__name__: one for one in (asked, allowed, redeemed, bare)}

if __name__ == "__main__":
    django.setup()
    from supervisor_guards_django import conf

    print(json.dumps({name: SCENARIOS[name]() for name in sys.argv[1:]}))
    conf.withdraw()
