"""Decisions and reviews as the admin's templates show them: legible, translated, in the current time zone."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import pgettext_lazy

from supervisor_guards.web import Review, StoredDecision, laid_out, legible

_IN_A_LIST = 120
"""Characters of a text in one cell."""
_WORDS: dict[str, Any] = {
    "allow": lazy("Allow"),
    "review": lazy("Review"),
    "deny": lazy("Deny"),
    "shadow": lazy("Shadow"),
    "sample": lazy("Sample"),
    "enforce": lazy("Enforce"),
    "evaluated": lazy("Evaluated"),
    "unavailable": lazy("Supervisor unavailable"),
    "unknown": lazy("Unknown"),
    "pending": pgettext_lazy("review", "Pending"),
    "approved": pgettext_lazy("review", "Approved"),
    "rejected": pgettext_lazy("review", "Rejected"),
    "expired": pgettext_lazy("review", "Expired"),
    "abandoned": pgettext_lazy("review", "Abandoned"),
    "used": pgettext_lazy("review", "Approved, and has run"),
    "executed": pgettext_lazy("review", "Ran without waiting"),
    "low": pgettext_lazy("priority", "Low"),
    "normal": pgettext_lazy("priority", "Normal"),
    "high": pgettext_lazy("priority", "High"),
    "urgent": pgettext_lazy("priority", "Urgent"),
    "returned": pgettext_lazy("result", "Returned"),
    "raised": pgettext_lazy("result", "Failed"),
    "not-run": pgettext_lazy("result", "Did not run"),
}
_TONES = {
    "allow": "good", "approved": "good", "used": "good",
    "review": "wait", "pending": "wait", "unknown": "wait", "high": "wait",
    "deny": "bad", "rejected": "bad", "unavailable": "bad", "urgent": "bad",
}  # fmt: skip


def text(value: str, limit: int = 1_000) -> str:
    """`value` with hidden characters written out, bounded."""
    return legible(value, limit)


def word(value: str | None) -> str:
    """The engine's word in the reader's language; "" for None."""
    return "" if value is None else str(_WORDS.get(value, legible(value, _IN_A_LIST)))


def mark(value: str, said: str | None = None) -> dict[str, str]:
    """A word and the tone in which it is shown."""
    return {"word": said or word(value), "tone": _TONES.get(value, "plain")}


def moment(microseconds: int | None) -> datetime.datetime | None:
    """The time in the current time zone."""
    if microseconds is None:
        return None
    return datetime.datetime.fromtimestamp(microseconds / 1_000_000, timezone.get_current_timezone())


def verdict(row: StoredDecision) -> dict[str, str]:
    """What became of the action, and in shadow what would have."""
    if row.status != "evaluated":
        return mark(row.status)
    if row.would_have is not None and row.would_have != row.outcome:
        would = {"deny": _("Would deny"), "review": _("Would review"), "allow": _("Would allow")}
        return mark(row.would_have, would.get(row.would_have))
    return mark(row.outcome)


def decision_row(row: StoredDecision, link: str) -> dict[str, Any]:
    """A line of the list."""
    return {
        "link": link,
        "time": moment(row.time),
        "action_type": text(row.action_type, _IN_A_LIST),
        "verdict": verdict(row),
        "mode": word(row.mode),
        "why": _joined(row.rule_ids or row.reasons),
        "subject": text(row.subject or "", _IN_A_LIST),
        "route": text(row.route or "", _IN_A_LIST),
        "payload": text(row.payload or "", _IN_A_LIST),
    }


def review_row(row: Review, link: str) -> dict[str, Any]:
    """A line of the list."""
    return {
        "link": link,
        "time": moment(row.created_at),
        "expires": moment(row.expires_at) if row.status in ("pending", "approved") else None,
        "action_type": text(row.action_type, _IN_A_LIST),
        "state": mark(row.status),
        "priority": mark(row.priority) if row.priority != "normal" else None,
        "why": _joined(row.reasons),
        "who": _who(row),
        "approver": text(row.approver or "", _IN_A_LIST),
        "payload": text(row.payload or "", _IN_A_LIST),
    }


def decision_page(row: StoredDecision) -> dict[str, Any]:
    """All of a decision."""
    answered = [
        (_("Answer"), mark(row.outcome)),
        (_("Enforcing would have answered"), mark(row.would_have) if row.would_have else None),
        (_("Status"), mark(row.status)),
        (_("Mode"), word(row.mode)),
        (_("Enforced"), _("yes") if row.enforced else _("no")),
        (_("Reasons"), _joined(row.reasons, 1_000)),
        (_("Result"), word(row.result)),
        (_("Time to decide"), _("%.3f ms") % (row.latency_us / 1_000)),
    ]
    record = [
        (_("Action id"), text(row.action_id)),
        (_("Application"), text(row.app_id)),
        (_("Policy"), text(row.policy_version or row.policy_name or "")),
        (_("Policy hash"), text(row.policy_hash or "")),
        (_("Digest"), text(row.digest or "")),
        (_("Sample bucket"), "" if row.sample_bucket is None else str(row.sample_bucket)),
    ]
    return {
        "subtitle": f"{text(row.action_type, _IN_A_LIST)} {text(row.action_id, _IN_A_LIST)}",
        "verdict": verdict(row),
        "asked": _given(
            [
                (_("Action"), text(row.action_type)),
                (_("Asked at"), moment(row.time)),
                (_("Route"), text(row.route or "")),
                (_("Subject"), text(row.subject or "")),
                (_("Tenant"), text(row.tenant or "")),
            ]
        ),
        "answered": _given(answered),
        "hits": _hits(row),
        "payload": _json(row.payload),
        "context": _json(row.context) if row.context else None,
        "record": _given(record),
    }


def review_page(case: Review, decision: StoredDecision | None) -> dict[str, Any]:
    """All of a review; `decision` is the one it belongs to, unless that was purged."""
    open_ = case.status in ("pending", "approved")
    return {
        "subtitle": f"{text(case.action_type, _IN_A_LIST)} {text(case.action_id, _IN_A_LIST)}",
        "state": mark(case.status),
        "pending": case.status == "pending",
        "expires": moment(case.expires_at) if open_ else None,
        "asked": _given(
            [
                (_("Action"), text(case.action_type)),
                (_("Priority"), mark(case.priority)),
                (_("Asked at"), moment(case.created_at)),
                (_("Asked by"), _who(case)),
                (_("Tenant"), text(case.tenant or "")),
                (_("Route"), text(case.route or "")),
                (_("Reasons"), _joined(case.reasons, 1_000)),
                (_("Action id"), text(case.action_id)),
            ]
        ),
        "decided": _given(
            [
                (_("Decided by"), text(case.approver or "")),
                (_("Decided at"), moment(case.resolved_at)),
                (_("Notes"), text(case.notes or "", 10_000)),
                (_("Ran at"), moment(case.used_at)),
            ]
        ),
        "hits": _hits(decision) if decision is not None else [],
        "payload": _json(case.payload),
        "context": _json(decision.context) if decision is not None and decision.context else None,
    }


def _given(pairs: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Those with a value; templates tell texts, marks and times apart by the key."""
    return [{"name": name, _kind(value): value} for name, value in pairs if value]


def _kind(value: Any) -> str:
    return "mark" if isinstance(value, dict) else "time" if isinstance(value, datetime.datetime) else "text"


def _hits(row: StoredDecision) -> list[dict[str, Any]]:
    return [
        {
            "rule": text(hit.rule_id, _IN_A_LIST),
            "answer": mark(hit.action),
            "reason": text(hit.reason, _IN_A_LIST),
            "explanation": text(hit.explanation),
        }
        for hit in row.hits
    ]


def _json(value: str | None) -> dict[str, Any]:
    if value is None:
        return {"text": None}
    shown, missing = laid_out(value, more=_more)
    return {"text": shown, "missing": missing}


def _more(count: int) -> str:
    return _("%(count)s more characters") % {"count": count}


def _joined(values: Sequence[str], limit: int = _IN_A_LIST) -> str:
    return text(", ".join(values), limit)


def _who(case: Review) -> str:
    """The authenticated subject, and the name that the application gave."""
    return text(", ".join(dict.fromkeys(filter(None, (case.subject, case.requester)))), _IN_A_LIST)
