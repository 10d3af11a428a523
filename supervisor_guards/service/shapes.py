"""The shapes of answers, for the API's description. Endpoints write them as they are in `items` and `judging`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from supervisor_guards._model import ReviewPriority
from supervisor_guards.service.judging import Asked
from supervisor_guards.service.principals import Role

Decision = Literal["allow", "deny", "review"]
Status = Literal["pending", "approved", "rejected"]


class Trouble(msgspec.Struct):
    """Why a request was refused: a text, and for 422 mostly a list that says where."""

    detail: str | list[Fault]


class Fault(msgspec.Struct):
    """One thing that doesn't fit: where it stands, and what to give instead."""

    loc: list[str]
    msg: str
    type: str


class State(msgspec.Struct):
    """How something is."""

    status: str


class WouldHave(msgspec.Struct):
    """The policy's verdict, whatever the mode; `decision` is null where there was none."""

    decision: Decision | None
    reasons: list[str]
    rule_ids: list[str]


class Verdict(msgspec.Struct):
    """The answer to an evaluation. In shadow `decision` is allow, and `shadow_would_have` the policy's verdict."""

    action_id: str
    decision: Decision
    reasons: list[str]
    risk_score: float
    policy_version: str
    threat_level: Literal["none", "info", "warn", "critical"]
    threats: list[dict[str, Any]]
    shadow_would_have: Decision | None
    id: str
    would_have: WouldHave | None
    unusable: bool


class Failed(msgspec.Struct):
    """What a request of its own would have been refused with."""

    status: int
    detail: str | list[Fault]


class Unanswered(msgspec.Struct):
    """An item of a batch that was refused."""

    id: str | None
    error: Failed


class Items(msgspec.Struct):
    """The body of a batch; each item is judged by itself."""

    items: list[Asked]


class Answers(msgspec.Struct):
    """A verdict or an error for each item, in their order."""

    items: list[dict[str, Any]]


class Noted(msgspec.Struct):
    """How the action ended; the first word counts."""

    action_id: str
    result: Literal["returned", "raised", "not-run"]


class Used(msgspec.Struct):
    """The approval that was used up."""

    action_id: str
    status: Literal["used"]


class PolicyHit(msgspec.Struct):
    """A rule that hit; one that asks for review has a priority."""

    rule_id: str
    action: str
    reason: str
    explanation: str | None
    priority: ReviewPriority | None


class ReviewCase(msgspec.Struct):
    """A review. `status` is version 1's; `state` knows more ends."""

    id: str
    action_id: str
    status: Status
    action_payload: dict[str, Any]
    action_type: str
    risk_score: float
    policy_hits: list[PolicyHit]
    created_at: str
    resolved_at: str | None
    approver: str | None
    approver_notes: str | None
    priority: ReviewPriority
    assigned_to: str | None
    state: Literal["pending", "approved", "rejected", "expired", "abandoned", "used", "executed"]
    expires_at: str
    reasons: list[str]
    subject: str | None
    requester: str | None
    route: str | None
    tenant: str | None
    integration_id: str
    used_at: str | None


class StoredDecision(msgspec.Struct):
    """A decision as it was recorded; payload and context are redacted."""

    action_id: str
    action_type: str
    decision: Decision
    reasons: list[str]
    risk_score: float
    policy_version: str
    created_at: str
    latency_ms: float
    shadow: bool
    shadow_would_have: Decision | None
    would_have: WouldHave
    payload: dict[str, Any]
    agent_context: dict[str, Any] | None
    threat_level: str
    threats: list[dict[str, Any]]
    mode: str
    status: Literal["evaluated", "unavailable", "unknown"]
    route: str | None
    subject: str | None
    tenant: str | None
    result: str | None
    review_id: str | None
    integration_id: str
    hits: list[PolicyHit]
    policy_name: str | None
    policy_hash: str | None
    sample_bucket: int | None
    latency_us: int


class Desk(msgspec.Struct):
    """Sums of what the caller may see; `recorded` answers each window that was asked for."""

    waiting: int
    action_types: list[str]
    routes: list[str]
    rules: list[str]
    span: list[int] | None
    recorded: list[bool]


class EvidenceEvent(msgspec.Struct):
    """A link of the bundle's chain."""

    seq: int
    event_type: str
    event_payload: dict[str, Any]
    prev_hash: str
    hash: str
    created_at: str


class Evidence(msgspec.Struct):
    """The version 1 evidence of one action."""

    action_id: str
    action_type: str
    status: str
    events: list[EvidenceEvent]
    chain_ok: bool
    broken_at_seq: int | None
    bundle_hash: str
    bundle_signature: str
    exported_at: str


class ActionType(msgspec.Struct):
    """An action type that a policy covers."""

    id: str
    title: str
    one_liner: str
    status: str
    intercepted_signals: list[str]
    sample_payload: dict[str, Any]
    policy_ref: str


class ActionTypes(msgspec.Struct):
    """All of them."""

    action_types: list[ActionType]


class Capabilities(msgspec.Struct):
    """What this service has beside version 1."""

    capabilities: list[str]
    max_batch: int


class ListedIntegration(msgspec.Struct):
    """An application."""

    id: str
    name: str
    scopes: list[str]
    active: bool
    created_at: str
    revoked_at: str | None
    execute_url: str | None
    execute_method: str
    tenant_id: str | None
    resolves_own: bool
    per_minute: int | None


class NewIntegration(ListedIntegration):
    """An application with its secret, which is told this once."""

    shared_secret: str


class ListedPerson(msgspec.Struct):
    """An account."""

    id: str
    name: str
    role: Role
    known_as: list[str]
    has_password: bool
    active: bool
    created_at: str
    created_by: str
    disabled_at: str | None


class SignedIn(msgspec.Struct):
    """Who calls, and how."""

    id: str
    name: str
    role: Role
    via: str


class Session(msgspec.Struct):
    """Who is signed in; `csrf_token` goes with every request of a browser that changes something."""

    person: SignedIn
    csrf_token: str | None
    expires_at: str | msgspec.UnsetType = msgspec.UNSET


class ListedToken(msgspec.Struct):
    """A program's token."""

    id: str
    person_id: str
    label: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class NewToken(ListedToken):
    """A program's token, which is told this once."""

    token: str


class Count(msgspec.Struct):
    """How many of the results were this integration's."""

    noted: int


class PolicyVersion(msgspec.Struct):
    """A version of a policy document."""

    id: str
    name: str
    version: str
    policy_version: str
    action_type: str
    action_types: list[str]
    active: bool
    hash: str
    created_at: str
    created_by: str
    promoted_at: str | None
    retired_at: str | None


class ChangedPolicy(PolicyVersion):
    """A version after a change; `retired` are the versions in whose place it is."""

    retired: list[Any]
    uncovered: list[str]


class PolicyWithText(PolicyVersion):
    """A version with its text and rules, and those of its own tests that fail."""

    yaml_source: str
    default: str
    rules: list[dict[str, Any]]
    tests: int
    failures: list[Any]


class Tested(msgspec.Struct):
    """What a version says to a payload."""

    decision: Decision
    hits: list[dict[str, Any]]
    reasons: list[str]
    policy_version: str


class Webhook(msgspec.Struct):
    """A subscription."""

    id: str
    url: str
    events: list[str]
    integration_id: str | None
    active: bool
    created_at: str
    created_by: str
    disabled_at: str | None


class NewWebhook(Webhook):
    """A subscription with its secret, which is told this once."""

    secret: str


class Delivery(msgspec.Struct):
    """An event on its way to a receiver; `answer` is what came of the last attempt."""

    id: str
    event: str
    action_id: str
    status: Literal["pending", "delivered", "failed", "canceled"]
    attempts: int
    created_at: str
    next_attempt_at: str | None
    answered_at: str | None
    answer: str | None


class DeliveryWithBody(Delivery):
    """A delivery with what is sent."""

    body: dict[str, Any]
