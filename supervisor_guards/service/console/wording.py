"""What the engine's words and numbers are called on a page."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from urllib.parse import quote

from supervisor_guards._records import StoredDecision
from supervisor_guards.web import legible

__all__ = [
    "iso", "many", "mark", "milliseconds", "path", "percent", "plain", "span", "text", "utc", "verdict", "word",
    "worded",
]  # fmt: skip

IN_A_LIST = 120
"""Characters of a text in one cell."""
_WORDS = {
    "allow": "Allow", "review": "Review", "deny": "Deny",
    "shadow": "Shadow", "sample": "Sample", "enforce": "Enforce",
    "evaluated": "Evaluated", "unavailable": "Unavailable", "unknown": "Not evaluated",
    "would-allow": "Would allow", "would-review": "Would review", "would-deny": "Would deny",
    "pending": "Pending", "approved": "Approved", "rejected": "Rejected", "expired": "Expired",
    "abandoned": "Abandoned", "used": "Approved, and has run", "executed": "Ran without waiting",
    "low": "Low", "normal": "Normal", "high": "High", "urgent": "Urgent",
    "in-force": "In force", "stored": "Never promoted", "retired": "Out of force",
    "active": "Active", "revoked": "Revoked", "disabled": "Disabled",
    "delivered": "Delivered", "failed": "Failed", "canceled": "Canceled",
    "returned": "Returned", "raised": "Failed", "not-run": "Did not run",
}  # fmt: skip
_TONES = {
    "allow": "good", "in-force": "good", "approved": "good", "used": "good", "would-allow": "good",
    "review": "wait", "pending": "wait", "would-review": "wait", "high": "wait",
    "active": "good", "delivered": "good", "revoked": "bad", "disabled": "bad", "failed": "bad",
    "deny": "bad", "rejected": "bad", "would-deny": "bad", "unavailable": "bad",
    "urgent": "bad",
}  # fmt: skip
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def text(value: object, limit: int = 1_000) -> str:
    """`value` with what can't be seen written out, bounded."""
    return legible("" if value is None else str(value), limit)


def word(value: str | None) -> str:
    """The engine's word as people say it; "" for None."""
    return "" if value is None else _WORDS.get(value, legible(value, IN_A_LIST))


def mark(value: str) -> dict[str, str]:
    """A word, and the tone in which it is shown."""
    return {"word": word(value), "tone": _TONES.get(value, "plain")}


def verdict(row: StoredDecision) -> str:
    """What became of the action, and of one that was only observed what would have: a key of the words."""
    if row.status != "evaluated":
        return row.status
    if row.would_have is not None and row.would_have != row.outcome:
        return f"would-{row.would_have}"
    return row.outcome


def _moment(microseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(microseconds / 1_000_000, datetime.timezone.utc)


def utc(microseconds: int, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """The time for people, in UTC."""
    return _moment(microseconds).strftime(form)


def iso(microseconds: int) -> str:
    """The time for programs (RFC 3339)."""
    return _moment(microseconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def span(microseconds: int) -> str:
    """How long that is, in its two largest units: `3 h 12 min`."""
    seconds = max(0, microseconds) // 1_000_000
    parts: list[str] = []
    for size, unit in _STEPS:
        count, seconds = divmod(seconds, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def many(count: int, one: str, more: str | None = None) -> str:
    """`1 decision`, `2 decisions`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def percent(share: float | None) -> str:
    """A share of one as percent; a dash for none."""
    return "-" if share is None else f"{share * 100:.1f}\u00a0%"


def milliseconds(microseconds: int | None) -> str:
    """A latency in ms; a dash for none."""
    if microseconds is None:
        return "-"
    return f"{microseconds / 1_000:,.{0 if microseconds >= 100_000 else 2}f} ms"


def plain(values: Iterable[str]) -> list[tuple[str, str]]:
    """Options of a choice: the value, and how it is shown."""
    return [(value, legible(value, IN_A_LIST)) for value in values]


def worded(values: Iterable[str]) -> list[tuple[str, str]]:
    """Options that are words of the engine."""
    return [(value, word(value)) for value in values]


def path(value: str) -> str:
    """`value`, an id that may hold anything, as one step of a path."""
    return quote(value, safe="")
