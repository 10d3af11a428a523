"""The published client's interface, both ways: ours in its shape, and one of its shape as our supervisor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from supervisor_guards._desk import Principal
from supervisor_guards._ids import new_action_id
from supervisor_guards._model import Action, Entry, Hit, Outcome, Result, ReviewState, Verdict
from supervisor_guards._payload import decode, snapshot
from supervisor_guards.errors import ApprovalInvalid, SupervisorUnavailable

if TYPE_CHECKING:
    from supervisor_guards._guard import Guard


class ClientDecision(msgspec.Struct):
    """The answer to `evaluate`, with the published client's fields."""

    action_id: str
    decision: Literal["allow", "deny", "review"]
    reasons: list[str]
    risk_score: int = 0
    policy_version: str = ""
    shadow_would_have: Literal["allow", "deny", "review"] | None = None


class ClientReview(msgspec.Struct):
    """One review case, with the published client's fields."""

    id: str
    action_id: str
    status: str
    action_type: str
    risk_score: int
    created_at: str


class LocalClient:
    """The published client's methods on an embedded supervisor: no address, no token, the same answers."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    @property
    def _embedded(self) -> Any:
        """The embedded supervisor, whose store holds the reviews."""
        return self._guard.supervisor

    def evaluate(
        self,
        action_type: str,
        payload: Mapping[str, Any],
        *,
        dry_run: bool = False,
        shadow: bool = False,
        agent_context: Mapping[str, Any] | None = None,
    ) -> ClientDecision:
        """Judge an action; `dry_run` stores nothing.

        `shadow` answers allow, with no reasons, and the verdict in `shadow_would_have`.
        """
        now = time.time()
        action = Action(
            action_id="dry-run" if dry_run else new_action_id(now),
            action_type=action_type,
            snapshot=snapshot(payload, self._guard.config.max_payload_bytes),
            time=now,
            mode="shadow" if shadow else "enforce",
            enforced=not shadow,
            context=decode(snapshot(agent_context)) if agent_context else None,
        )
        verdict: Verdict = self._guard.supervisor.evaluate(action, shadow or dry_run)
        if not dry_run and not verdict.recorded:
            self._guard.supervisor.record([Entry(action, verdict)])
        answer = Outcome.ALLOW if shadow and not dry_run else verdict.outcome
        return ClientDecision(
            action_id=action.action_id,
            decision=answer.value,
            reasons=[] if shadow and not dry_run else list(verdict.reasons) or ["passes-policy-and-risk"],
            policy_version=verdict.policy_version or "",
            shadow_would_have=verdict.outcome.value if shadow and not dry_run else None,
        )

    def list_action_types(self) -> list[dict[str, Any]]:
        """The action types that the policy covers."""
        return [{"id": name, "title": name, "status": "active"} for name in self._embedded.action_types()]

    def list_reviews(self, status: str | None = None) -> list[ClientReview]:
        """Reviews, newest first, at most 1,000."""
        from supervisor_guards.embedded.bundle import iso

        return [
            ClientReview(r.action_id, r.action_id, r.status, r.action_type, 0, iso(r.created_at))
            for r in self._embedded.store.reviews(status, 1_000)
        ]

    def get_review(self, review_id: str) -> dict[str, Any]:
        """One review case. Raises `LookupError` for an unknown id."""
        state: ReviewState = self._embedded.review(review_id)
        return {
            "id": review_id,
            "action_id": review_id,
            "status": state.status,
            "approver": state.approver,
            "approver_notes": state.notes,
        }

    def resolve_review(
        self,
        review_id: str,
        decision: Literal["approved", "rejected"],
        notes: str | None = None,
        approver: str | None = None,
    ) -> dict[str, Any]:
        """Approve or reject, as `approver`, else "local client". Raises what `ReviewDesk.resolve` does."""
        self._guard.desk().resolve(review_id, decision, notes, Principal(approver or "local client"))
        return self.get_review(review_id)

    def get_evidence(self, action_id: str) -> dict[str, Any]:
        """The version 1 evidence bundle of an action. Raises `LookupError` for an unknown id."""
        self._guard.flush()
        evidence: dict[str, Any] = self._embedded.evidence(action_id)
        return evidence

    def close(self) -> None:
        """Nothing to release: the guard owns the store."""


class ClientSupervisor:
    """A supervisor that asks an object with the published client's methods. Async callers wait in a thread."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def evaluate(self, action: Action, shadow: bool) -> Verdict:
        """Ask the client. An answer that is none of allow, deny, review is an error, never another answer."""
        context = dict(action.context) if action.context else None
        answer = self.client.evaluate(action.action_type, decode(action.snapshot), shadow=shadow, agent_context=context)
        word = answer.shadow_would_have or answer.decision if shadow else answer.decision
        try:
            outcome = Outcome(word)
        except ValueError:
            raise SupervisorUnavailable(f"the supervisor answered {word!r}, which is no decision") from None
        if action.snapshot.fault is not None:
            outcome = Outcome.DENY
        reasons = tuple(answer.reasons)
        return Verdict(
            outcome,
            reasons,
            hits=tuple(Hit(reason, outcome.value, reason) for reason in reasons if outcome is not Outcome.ALLOW),
            policy_version=getattr(answer, "policy_version", None),
            threats=tuple(getattr(answer, "threats", ()) or ()),
            unusable=action.snapshot.fault is not None,
            action_id=answer.action_id,
            recorded=True,
        )

    async def aevaluate(self, action: Action, shadow: bool) -> Verdict:
        """`evaluate` in a worker thread."""
        return await _in_thread(self.evaluate, action, shadow)  # type: ignore[no-any-return]

    def review(self, action_id: str) -> ReviewState:
        """Look for the case among the resolved ones; one that is in neither list is pending."""
        for status in ("approved", "rejected"):
            if any(case.action_id == action_id for case in self.client.list_reviews(status=status)):
                return ReviewState(action_id, status)
        return ReviewState(action_id, "pending")

    async def areview(self, action_id: str) -> ReviewState:
        """`review` in a worker thread."""
        return await _in_thread(self.review, action_id)  # type: ignore[no-any-return]

    def redeem(
        self,
        action_id: str,
        digest: str,
        subject: str | None,
        *,
        action_type: str | None = None,
        route: str | None = None,
        tenant: str | None = None,
    ) -> None:
        """A plain client can't redeem: an approval serves only the call that waited for it."""
        if digest:
            raise ApprovalInvalid("review", ["this supervisor can't redeem approvals"], action_id)

    async def aredeem(
        self,
        action_id: str,
        digest: str,
        subject: str | None,
        *,
        action_type: str | None = None,
        route: str | None = None,
        tenant: str | None = None,
    ) -> None:
        """`redeem`."""
        self.redeem(action_id, digest, subject, action_type=action_type, route=route, tenant=tenant)

    def record(self, entries: Sequence[Entry]) -> None:
        """Evaluate the shadow entries; the supervisor behind the client keeps the record."""
        for entry in entries:
            entry.taken = True
            if entry.verdict is None:
                entry.verdict = self.evaluate(entry.action, True)

    def report(self, results: Sequence[tuple[str, Result]], dropped: int = 0) -> None:
        """The published interface has no place for results."""

    def upkeep(self) -> None:
        """Nothing to keep up."""

    def digest(self, action: Action) -> str:
        """None is kept: only a resumed waiter may run, and it needs none."""
        return "" if action.approval is None else "unsupported"

    def close(self) -> None:
        """Close the client."""
        self.client.close()

    async def aclose(self) -> None:
        """`close` in a worker thread."""
        await _in_thread(self.close)


async def _in_thread(call: Any, *args: Any) -> Any:
    import anyio.to_thread

    return await anyio.to_thread.run_sync(call, *args)
