"""The values that travel between the parts: frozen, checked where they are made, no behaviour with I/O."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

Mode = Literal["shadow", "sample", "enforce"]
OnReview = Literal["block", "fail_closed", "fail_open", "shadow"]
OnUnavailable = Literal["fail_closed", "fail_open"]
Status = Literal["evaluated", "unavailable", "unknown"]
Result = Literal["returned", "raised", "not-run"]
ReviewStatus = Literal["pending", "approved", "rejected", "expired", "abandoned", "used", "executed"]
ReviewPriority = Literal["low", "normal", "high", "urgent"]

MODES: tuple[Mode, ...] = ("shadow", "sample", "enforce")
ON_REVIEW: tuple[OnReview, ...] = ("block", "fail_closed", "fail_open", "shadow")
ON_UNAVAILABLE: tuple[OnUnavailable, ...] = ("fail_closed", "fail_open")
PRIORITIES: tuple[ReviewPriority, ...] = ("urgent", "high", "normal", "low")
"""In the order in which people should look. A store keeps a priority as its place here, from 0."""


class Outcome(str, enum.Enum):
    """What a supervisor answers. The values are the wire's words."""

    ALLOW = "allow"
    REVIEW = "review"
    DENY = "deny"


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A payload as JSON bytes, taken on the caller's thread.

    `body` is always a JSON object in UTF-8 (markers stand for what JSON can't hold). `full_hash` is set where
    the body alone can't tell two payloads apart: BLAKE2b-256 of the canonical payload before truncation;
    unkeyed, so it never leaves the process. Truncated without it means that something went unread. `fault` says
    in one word why the payload as a whole is unusable (`payload-raised`, `too-large`, ...), else None.
    """

    body: bytes
    truncated: bool = False
    full_hash: bytes | None = None
    fault: str | None = None


class Action(msgspec.Struct, frozen=True, gc=False):
    """One guarded call, as the supervisor sees it.

    It holds plain data alone, which can't refer back to it, so the garbage collector need not look at the
    thousands that may wait in the queue (`gc=False`); the same goes for `Snapshot`.
    """

    action_id: str
    action_type: str
    snapshot: Snapshot
    time: float
    """Seconds since the epoch, UTC, when the call was made."""
    mode: Mode = "shadow"
    enforced: bool = False
    """Whether this very call is enforced: a sampled call on the shadow side is not."""
    context: Mapping[str, Any] | None = None
    """What `observing` set: free-form, never trusted."""
    subject: str | None = None
    """Who acts, as an adapter authenticated them."""
    route: str | None = None
    request: Mapping[str, Any] | None = None
    """What an adapter knows for sure about the request; the name `request` in policies."""
    sample_bucket: int | None = None
    proceeds: bool = False
    """The action runs whatever a reviewer says (`fail_open`, `shadow`): its case can't be redeemed."""
    call: tuple[str, ...] | None = None
    """The parameters given by position, where the payload is the call's own arguments."""
    approval: tuple[str, ...] | None = None
    """The action ids whose approvals this call may use up; one of them is its own."""
    tenant: str | None = None
    """Whose data the request is about, as an adapter knows it."""


class Hit(msgspec.Struct, frozen=True):
    """A rule that applied."""

    rule_id: str
    action: str
    reason: str
    explanation: str = ""
    priority: str | None = None
    """How soon a person should look, where the rule asks for review; None where it doesn't, or where none is known."""


class Verdict(msgspec.Struct, frozen=True):
    """A supervisor's answer to one action."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    policy_name: str | None = None
    policy_version: str | None = None
    policy_hash: str | None = None
    unusable: bool = False
    """A rule read a marker, or the payload has a fault: refused whatever the settings say."""
    action_id: str | None = None
    """The id a service gave the action, where it makes its own."""
    recorded: bool = False
    """The supervisor has stored this decision already; nothing is left for the caller to record."""
    risk_score: int = 0
    threats: tuple[Mapping[str, Any], ...] = ()

    @property
    def rule_ids(self) -> tuple[str, ...]:
        return tuple(hit.rule_id for hit in self.hits)


class ReviewState(msgspec.Struct, frozen=True):
    """Where a review stands."""

    action_id: str
    status: ReviewStatus
    approver: str | None = None
    notes: str | None = None


class Decision(msgspec.Struct, frozen=True):
    """What the guard made of a verdict: may the action run, and why.

    `outcome` is what the caller gets; `would_have` is what enforce would have answered, None where it isn't
    known yet (shadow evaluates in the background). `status` is `evaluated`, `unavailable` or `unknown`.
    """

    action_id: str
    action_type: str
    mode: Mode
    outcome: Outcome
    enforced: bool
    reasons: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = ()
    would_have: Outcome | None = None
    status: Status = "evaluated"
    policy_version: str | None = None
    error: Exception | None = None
    """What `Guard.require` raises; None when the action may run."""

    @property
    def allowed(self) -> bool:
        """Whether the action may run."""
        return self.error is None


class Entry(msgspec.Struct, eq=False):
    """One decision on its way to the record: shared by the caller, who adds the result, and the writer."""

    action: Action
    verdict: Verdict | None = None
    """None until a shadow action has been evaluated."""
    outcome: Outcome = Outcome.ALLOW
    status: Status = "evaluated"
    latency_us: int = 0
    result: Result | None = None
    taken: bool = False
    """The writer has read `result`; a later result travels by itself."""
    decision: Decision | None = None
    """What the guard decided; None for a call that was only observed."""
    late: Callable[[tuple[Entry, Result]], object] | None = None
    """Takes a result that came after the writer."""

    def settle(self, result: Result) -> None:
        """Note how the action ended."""
        self.result = result
        if self.taken and self.late is not None:
            self.late((self, result))


class Supervisor(Protocol):
    """Who answers. The embedded one and the remote one are the two that ship."""

    def evaluate(self, action: Action, shadow: bool) -> Verdict:
        """Judge `action`. A deny or review is stored before this returns, unless `shadow`.

        Raises `SupervisorUnavailable` when no verdict can be had.
        """
        ...

    async def aevaluate(self, action: Action, shadow: bool) -> Verdict:
        """`evaluate` off the event loop where it waits."""
        ...

    def review(self, action_id: str) -> ReviewState:
        """Where the review of `action_id` stands."""
        ...

    async def areview(self, action_id: str) -> ReviewState:
        """`review` off the event loop where it waits."""
        ...

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
        """Use up the approval of `action_id`, once, for what was approved. Raises `ApprovalUsed` or `ApprovalInvalid`.

        Subject, route and tenant are compared unless all three are None: the action then runs outside a request.
        """
        ...

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
        """`redeem` off the event loop where it waits."""
        ...

    def record(self, entries: Sequence[Entry]) -> None:
        """Evaluate the entries that have no verdict yet (shadow), and store all of them."""
        ...

    def report(self, results: Sequence[tuple[str, Result]], dropped: int = 0) -> None:
        """Store how actions ended whose rows were written before they ended: (action id, result).

        `dropped` is how many decisions had no room in the queue since the last report.
        """
        ...

    def upkeep(self) -> None:
        """Called often on the background thread, between batches: reload what changed."""
        ...

    def digest(self, action: Action) -> str:
        """The keyed digest an approval of `action` is bound to."""
        ...

    def close(self) -> None:
        """Release connections; idempotent."""
        ...

    async def aclose(self) -> None:
        """`close` off the event loop where it waits."""
        ...
