"""The version 1 evidence bundle of one action, derived from its rows when it is read; reading writes nothing.

It shows what the record says, hashed as version 1 clients expect. Where the rows aren't as they were written it says so
and carries no signature. It doesn't prove that the record is complete: `supervisor-guards verify` does that.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
from typing import Any

from supervisor_guards.embedded.rows import Review, StoredDecision


def bundle(
    decision: StoredDecision, review: Review | None, key: bytes, now: int, *, authentic: bool = True
) -> dict[str, Any]:
    """The bundle of `decision` and its review, signed with `key`; `now` is in microseconds since the epoch.

    `authentic` False says that the rows were edited: the bundle then isn't signed.
    """
    events = []
    previous = _sha256(f"genesis:{decision.action_id}")
    for number, (kind, content, at) in enumerate(_events(decision, review), 1):
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        own = _sha256(f"{previous}|{number}|{kind}|{canonical}")
        events.append(
            {
                "seq": number,
                "event_type": kind,
                "event_payload": content,
                "prev_hash": previous,
                "hash": own,
                "created_at": iso(at),
            }
        )
        previous = own
    status = review.status if review is not None else decision.outcome
    whole = _sha256(f"{decision.action_id}|{decision.action_type}|{status}|{previous}")
    return {
        "action_id": decision.action_id,
        "action_type": decision.action_type,
        "status": status,
        "events": events,
        "chain_ok": authentic,
        "broken_at_seq": None if authentic else 1,
        "bundle_hash": whole,
        "bundle_signature": hmac.digest(key, whole.encode(), "sha256").hex() if authentic else "",
        "exported_at": iso(now),
    }


def _events(decision: StoredDecision, review: Review | None) -> list[tuple[str, dict[str, Any], int]]:
    received = {"action_type": decision.action_type, "payload": json.loads(decision.payload or "{}")}
    found: list[tuple[str, dict[str, Any], int]] = [("action.received", received, decision.time)]
    if decision.context:
        found.append(("agent.context", json.loads(decision.context), decision.time))
    verdict = decision.outcome if decision.enforced else decision.would_have
    made = {
        "decision": verdict,
        "reasons": list(decision.reasons),
        "policy_version": decision.policy_version,
        "mode": decision.mode,
        "shadow": not decision.enforced,
    }
    found.append(("decision.made", made, decision.time))
    if review is not None and review.resolved_at is not None:
        resolved = {"status": review.status, "approver": review.approver, "notes": review.notes}
        found.append(("review.resolved", resolved, review.resolved_at))
    return found


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def iso(microseconds: int) -> str:
    """The time as version 1 writes it: `2026-11-22T12:17:27.138757Z`."""
    moment = datetime.datetime.fromtimestamp(microseconds / 1_000_000, datetime.timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
