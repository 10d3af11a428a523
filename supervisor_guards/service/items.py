"""Rows as version 1 writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from supervisor_guards._model import Hit
from supervisor_guards.embedded.bundle import iso
from supervisor_guards.embedded.rows import DecisionRow, Review
from supervisor_guards.service.integrations import StoredIntegration
from supervisor_guards.service.people import StoredPerson
from supervisor_guards.service.policies import StoredPolicy
from supervisor_guards.service.reading import version_1_status
from supervisor_guards.service.tokens import StoredToken

__all__ = ["decision_item", "integration_item", "person_item", "policy_item", "review_item", "token_item"]


def review_item(review: Review, decision: DecisionRow | None) -> dict[str, Any]:
    """A review case. `status` is version 1's; from `state` on the keys are ours, and `state` knows more ends."""
    hits = decision.hits if decision is not None else ()
    return {
        "id": review.action_id,
        "action_id": review.action_id,
        "status": version_1_status(review.status),
        "action_payload": json.loads(review.payload or "{}"),
        "action_type": review.action_type,
        "risk_score": 0,
        "policy_hits": _hits(hits),
        "created_at": iso(review.created_at),
        "resolved_at": None if review.resolved_at is None else iso(review.resolved_at),
        "approver": review.approver,
        "approver_notes": review.notes,
        "priority": review.priority,
        "assigned_to": None,
        "state": review.status,
        "expires_at": iso(review.expires_at),
        "reasons": list(review.reasons),
        "subject": review.subject,
        "requester": review.requester,
        "route": review.route,
        "tenant": review.tenant,
        "integration_id": review.app_id,
        "used_at": None if review.used_at is None else iso(review.used_at),
    }


def decision_item(row: DecisionRow) -> dict[str, Any]:
    """A decision, as `GET /v1/actions/recent` and `GET /v1/decisions/{id}` give it."""
    return {
        "action_id": row.action_id,
        "action_type": row.action_type,
        "decision": row.outcome,
        "reasons": list(row.reasons) if row.enforced else [],
        "risk_score": 0,
        "policy_version": row.policy_version or "",
        "created_at": iso(row.time),
        "latency_ms": row.latency_us / 1_000,
        "shadow": not row.enforced,
        "shadow_would_have": None if row.enforced else row.would_have,
        "would_have": {
            "decision": row.outcome if row.enforced else row.would_have,
            "reasons": list(row.reasons),
            "rule_ids": list(row.rule_ids),
        },
        "payload": json.loads(row.payload or "{}"),
        "agent_context": json.loads(row.context) if row.context else None,
        "threat_level": "none",
        "threats": [],
        "mode": row.mode,
        "status": row.status,
        "route": row.route,
        "subject": row.subject,
        "tenant": row.tenant,
        "result": row.result,
        "review_id": row.case_id,
        "integration_id": row.app_id,
        "hits": _hits(row.hits),
        "policy_name": row.policy_name,
        "policy_hash": row.policy_hash,
        "sample_bucket": row.sample_bucket,
        "latency_us": row.latency_us,
    }


def _hits(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    return [
        {
            "rule_id": hit.rule_id,
            "action": hit.action,
            "reason": hit.reason,
            "explanation": hit.explanation,
            "priority": hit.priority,
        }
        for hit in hits
    ]


def integration_item(row: StoredIntegration, secret: str | None = None) -> dict[str, Any]:
    """An integration; with its secret where it was just made."""
    item: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "scopes": json.loads(row.scopes),
        "active": row.revoked_at is None,
        "created_at": iso(row.created_at),
        "revoked_at": None if row.revoked_at is None else iso(row.revoked_at),
        "execute_url": None,
        "execute_method": "POST",
        "tenant_id": None,
        "resolves_own": row.resolves_own,
        "per_minute": row.per_minute,
    }
    return item if secret is None else {**item, "shared_secret": secret}


def person_item(row: StoredPerson) -> dict[str, Any]:
    """An account, without what the password is kept as."""
    return {
        "id": row.id,
        "name": row.name,
        "role": row.role,
        "known_as": json.loads(row.known_as),
        "has_password": row.password is not None,
        "active": row.disabled_at is None,
        "created_at": iso(row.created_at),
        "created_by": row.created_by,
        "disabled_at": None if row.disabled_at is None else iso(row.disabled_at),
    }


def token_item(row: StoredToken) -> dict[str, Any]:
    """A person's token, without the token."""
    return {
        "id": row.id,
        "person_id": row.person_id,
        "label": row.label,
        "created_at": iso(row.created_at),
        "expires_at": None if row.expires_at is None else iso(row.expires_at),
        "revoked_at": None if row.revoked_at is None else iso(row.revoked_at),
    }


def policy_item(row: StoredPolicy) -> dict[str, Any]:
    """A version of a policy, without its text. `action_type`, the first of them, is version 1's."""
    action_types = json.loads(row.action_types)
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "policy_version": row.label,
        "action_type": action_types[0],
        "action_types": action_types,
        "active": row.active,
        "hash": row.hash,
        "created_at": iso(row.created_at),
        "created_by": row.created_by,
        "promoted_at": None if row.promoted_at is None else iso(row.promoted_at),
        "retired_at": None if row.retired_at is None else iso(row.retired_at),
    }
