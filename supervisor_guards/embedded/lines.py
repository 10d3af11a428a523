"""Decisions as JSON lines, which `supervisor-guards replay` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from supervisor_guards.embedded.errors import ReviewNotFound
from supervisor_guards.embedded.rows import StoredDecision

if TYPE_CHECKING:
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

__all__ = ["line_of"]

_LEFT_OUT = frozenset({"id", "payload", "context", "hits", "digest"})
"""What a line says in another way, and what means nothing outside the store."""

_encode = msgspec.json.Encoder().encode


def line_of(row: StoredDecision, store: Store | MemoryStore) -> bytes:
    """The line of `row`, whose review stands in `store`."""
    fields = {name: value for name, value in msgspec.structs.asdict(row).items() if name not in _LEFT_OUT}
    verdict = (row.outcome if row.enforced else row.would_have) if row.status == "evaluated" else None
    record = {
        "action_type": row.action_type,
        "payload": _json(row.payload),
        "context": _json(row.context),
        "verdict": verdict,
        **fields,
        "review": _review(row, store),
    }
    return _encode(record) + b"\n"


def _json(text: str | None) -> msgspec.Raw | None:
    """Stored JSON on one line, with every digit as it is; None where somebody edited it into something else."""
    try:
        return None if text is None else msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
    except msgspec.DecodeError:
        return None


def _review(row: StoredDecision, store: Store | MemoryStore) -> dict[str, Any] | None:
    """How the review of `row` stands; None where none was asked for, and where it was purged."""
    if not row.enforced or row.outcome != "review":
        return None
    try:
        case = store.case(row.action_id)
    except ReviewNotFound:
        return None
    return {
        "status": case.status,
        "priority": case.priority,
        "approver": case.approver,
        "notes": case.notes,
        "resolved_at": case.resolved_at,
        "used_at": case.used_at,
    }
