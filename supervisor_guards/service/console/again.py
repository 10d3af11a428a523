"""Would the policy in force say the same of a recorded action? As far as the record can tell. No I/O."""

from __future__ import annotations

import msgspec

from supervisor_guards._payload import decode, snapshot
from supervisor_guards._records import StoredDecision
from supervisor_guards.policy.engine import PolicySet
from supervisor_guards.service.console.wording import word

__all__ = ["Again", "judged_again"]

_LIMIT = 16_777_216


class Again(msgspec.Struct, frozen=True):
    """The answer, and the verdict and reasons that it stands on; None where nobody can tell."""

    said: str
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    same: bool | None = None


def judged_again(policies: PolicySet, row: StoredDecision) -> Again:
    """The verdict of `policies` on the recorded payload and context of `row`, compared with the one recorded."""
    before = row.would_have or row.outcome
    policy = policies.policy_for(row.action_type)
    if row.status == "unavailable":
        return Again("It can't be compared: no verdict was recorded.")
    if row.payload is None:
        return Again("It can't be told: the record holds no payload.")
    if policies.reads_call(row.action_type):
        return Again("It can't be told: the policy reads the call's arguments, which are recorded under their names.")
    if policy is not None and any(field.split(".")[0] == "request" for rule in policy.rules for field in rule.fields):
        return Again("It can't be told: the policy reads the request, which isn't recorded.")
    try:
        payload = msgspec.json.decode(row.payload)
        context = msgspec.json.decode(row.context) if row.context else {}
        taken = snapshot(payload, _LIMIT)
    except (msgspec.DecodeError, RecursionError):
        return Again("It can't be told: the recorded payload can't be read.")
    verdict = policies.evaluate(row.action_type, decode(taken), context)
    if verdict.unusable:
        return Again("It can't be told: a rule reads what was redacted, or couldn't be read in the first place.")
    now = verdict.outcome.value
    label = verdict.policy_version or "no policy"
    if now == before and row.status == "evaluated":
        return Again(f"Yes: {label} says {word(now).lower()} too.", now, verdict.reasons, True)
    was = word(before).lower() if row.status == "evaluated" else "nothing"
    return Again(f"No: {label} says {word(now).lower()}; then it was {was}.", now, verdict.reasons, False)
