"""Decisions and reviews as the templates show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from supervisor_guards._model import Hit
from supervisor_guards._records import Review, StoredDecision
from supervisor_guards.service.console.wording import IN_A_LIST, mark, span, text, verdict, word
from supervisor_guards.web import laid_out

__all__ = ["decision_facts", "decision_row", "facts", "hits", "json_of", "review_facts", "review_row", "what_next"]

_SOON_US = 3_600_000_000


def decision_row(row: StoredDecision) -> dict[str, Any]:
    """A line of the list."""
    return {
        "id": row.id,
        "action_id": row.action_id,
        "time": row.time,
        "action_type": text(row.action_type, IN_A_LIST),
        "mark": mark(verdict(row)),
        "mode": word(row.mode) + (", enforced" if row.mode == "sample" and row.enforced else ""),
        "why": text(", ".join(row.rule_ids or row.reasons), IN_A_LIST),
        "who": text(row.subject or "", IN_A_LIST),
        "route": text(row.route or "", IN_A_LIST),
        "payload": text(row.payload or "", IN_A_LIST),
    }


def review_row(case: Review, now: int) -> dict[str, Any]:
    """A line of the queue."""
    open_ = case.status in ("pending", "approved")
    return {
        "action_id": case.action_id,
        "time": case.created_at,
        "age": span(now - case.created_at),
        "expires": case.expires_at if open_ else None,
        "left": span(case.expires_at - now),
        "soon": case.expires_at - now < _SOON_US,
        "action_type": text(case.action_type, IN_A_LIST),
        "priority": mark(case.priority),
        "pending": case.status == "pending",
        "mark": mark(case.status),
        "why": text(", ".join(case.reasons), IN_A_LIST),
        "who": _who(case),
        "approver": text(case.approver or "", IN_A_LIST),
        "payload": text(case.payload or "", IN_A_LIST),
    }


def decision_facts(row: StoredDecision, application: str) -> dict[str, Any]:
    """Everything of a decision but its payload, in groups; `application` is what people call it."""
    return {
        "asked": facts(
            ("Action", text(row.action_type)),
            ("Asked at", row.time),
            ("Asked by", text(row.subject)),
            ("Route", text(row.route)),
            ("Tenant", text(row.tenant)),
            ("Application", text(application)),
        ),
        "answered": facts(
            ("The caller got", mark(row.outcome)),
            ("Enforcing would have answered", mark(row.would_have) if row.would_have else None),
            ("Evaluated", mark(row.status) if row.status != "evaluated" else None),
            ("Mode", word(row.mode)),
            ("Enforced", "Yes" if row.enforced else "No: it was only observed"),
            ("Reasons", text(", ".join(row.reasons))),
            ("The action", word(row.result)),
            ("Time to decide", f"{row.latency_us / 1_000:.3f} ms"),
        ),
        "record": facts(
            ("Action id", text(row.action_id)),
            ("Policy", text(row.policy_version or row.policy_name)),
            ("Policy hash", text(row.policy_hash)),
            ("Digest", text(row.digest)),
            ("Sample bucket", "" if row.sample_bucket is None else str(row.sample_bucket)),
        ),
    }


def review_facts(case: Review, application: str) -> dict[str, Any]:
    """Everything of a review but its payload, in groups; `application` is what people call it."""
    return {
        "asked": facts(
            ("Action", text(case.action_type)),
            ("Priority", mark(case.priority)),
            ("Asked at", case.created_at),
            ("Asked by", _who(case)),
            ("Tenant", text(case.tenant)),
            ("Route", text(case.route)),
            ("Application", text(application)),
            ("Action id", text(case.action_id)),
        ),
        "decided": facts(
            ("Decided by", text(case.approver)),
            ("Decided at", case.resolved_at),
            ("Notes", text(case.notes, 10_000)),
            ("Ran at", case.used_at),
        ),
    }


def hits(found: Sequence[Hit], reasons: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rules that hit, each with what it says; where none is known, the reasons alone."""
    if not found:
        return [{"rule": "", "mark": None, "priority": None, "reason": text(one), "explanation": ""} for one in reasons]
    return [
        {
            "rule": text(hit.rule_id, IN_A_LIST),
            "mark": mark(hit.action),
            "priority": hit.priority,
            "reason": text(hit.reason, IN_A_LIST),
            "explanation": text(hit.explanation),
        }
        for hit in found
    ]


def json_of(value: str | None) -> dict[str, Any] | None:
    """JSON text over several lines, and how many characters are missing at its end."""
    if value is None:
        return None
    shown, missing = laid_out(value)
    return {"text": shown, "missing": missing}


def what_next(case: Review) -> dict[str, str]:
    """In words, what either button does, and what happens if nobody does anything."""
    return {
        "approve": (
            f"The {text(case.action_type, IN_A_LIST)} may run once, with exactly this content, until the time above. "
            "A caller that waits goes on at once; another has to ask again with this approval. The policy is asked "
            "again before it runs, and a deny still wins."
        ),
        "reject": "It doesn't run. A caller that waits is told so, with your notes.",
        "nothing": "When its time is over the review expires, which is told to the caller as a refusal.",
    }


def _who(case: Review) -> str:
    """The authenticated subject, and the name that the application gave."""
    return text(", ".join(dict.fromkeys(filter(None, (case.subject, case.requester)))), IN_A_LIST)


def facts(*pairs: tuple[str, Any]) -> list[tuple[str, Any]]:
    """Those with a value. A number is a time in microseconds, a mapping a mark."""
    found: list[tuple[str, str | int | Mapping[str, str]]] = [(name, value) for name, value in pairs if value]
    return found
