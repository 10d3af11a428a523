"""Where a review stands, and using its approval up: one case is asked for, never a history."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import msgspec

from supervisor_guards._model import ReviewState
from supervisor_guards.errors import ApprovalInvalid, ApprovalUsed
from supervisor_guards.remote import wire
from supervisor_guards.remote.asking import Asking, Exchange, Flow
from supervisor_guards.remote.faults import Fault
from supervisor_guards.remote.lines import Lines
from supervisor_guards.remote.requests import Reader, Request, Scan, Whole

HOLD = 20.0
"""Seconds the service may keep one question."""
WAITING = 8
"""How many questions it may keep at once, for one process or event loop: each takes a connection."""
_MINE = 10_000
_SKEW = 300.0
"""Seconds by which the service's clock may differ from ours."""
_REDEEM_STATUSES = {404: "not-found", 410: "expired", 425: "pending"}
_REFUSALS = (
    ("digest", "other-content"), ("content", "other-content"), ("action", "other-action"), ("subject", "other-subject"),
    ("route", "other-route"), ("tenant", "other-tenant"), ("rejected", "rejected"), ("expired", "expired"),
    ("pending", "pending"), ("abandoned", "abandoned"), ("executed", "executed"),
)  # fmt: skip
NO_APPROVALS = "this-service-redeems-no-approvals"
"""The reason, and instead of a digest where a call comes with an approval: only who waited may run."""


class _Waiting(msgspec.Struct):
    """A review that a call of this process asked for, at a service that knows no action ids in its paths."""

    since: str
    case_id: str | None = None
    approved: bool = False


class Reviews:
    """Looks reviews up by action id. At a plain service it knows the cases of its own calls alone."""

    def __init__(self, asking: Asking, timeout: float) -> None:
        self._asking = asking
        self._timeout = timeout
        self.reset()

    def reset(self) -> None:
        """Know none: for a forked child, whose parent's calls wait in the parent."""
        self._mine: dict[str, _Waiting] = {}

    def opened(self, action_id: str) -> None:
        """A call of this process was answered `review`."""
        if len(self._mine) >= _MINE:
            del self._mine[next(iter(self._mine))]
        begun = datetime.fromtimestamp(time.time() - _SKEW, timezone.utc)
        self._mine[action_id] = _Waiting(begun.strftime("%Y-%m-%dT%H:%M:%S"))

    def look(self, lines: Lines[Any], waits: Lines[Any], action_id: str, hold: float) -> Flow[ReviewState]:
        """Where the review of `action_id` stands. Raises `Fault`, and `LookupError` where there is none."""
        service = self._asking.service
        if service is None or service.ours:
            held = min(HOLD, hold) if service is not None and service.offers("long_poll") else 0.0
            line = waits.enter_now() if held >= 1.0 else None
            if line is not None:
                return (yield from self._held(waits, line, action_id, held))
            return (yield from self._asked(lines, action_id))
        return (yield from self._plain(lines, action_id))

    def _one(self, action_id: str, wait: float = 0.0) -> Request:
        target = f"{wire.REVIEWS}?action_id={quote(action_id, safe='')}{f'&wait={int(wait)}' if wait else ''}"
        return self._asking.request(b"GET", target, repeatable=True)

    def _held(self, waits: Lines[Any], line: Any, action_id: str, held: float) -> Flow[ReviewState]:
        whole = Whole()
        try:
            deadline = time.monotonic() + held + self._timeout
            answer = yield from Exchange(line, self._one(action_id, held), deadline, whole)
        finally:
            waits.leave(line)
        wire.check_status(answer.status, whole.body, answer.retry_after)
        return self._state(wire.case_of(whole.body, action_id), action_id)

    def _asked(self, lines: Lines[Any], action_id: str) -> Flow[ReviewState]:
        whole = Whole()

        def make(service: wire.Service) -> tuple[Request, Reader]:
            return self._one(action_id), whole

        answer = yield from self._asking.once(lines, make, time.monotonic() + self._timeout)
        service = self._asking.service
        if service is not None and not service.ours:  # learnt just now: it gave a list of everything
            return (yield from self._plain(lines, action_id))
        wire.check_status(answer.status, whole.body, answer.retry_after)
        return self._state(wire.case_of(whole.body, action_id), action_id)

    def _state(self, case: wire.Case | None, action_id: str) -> ReviewState:
        if case is None:
            raise LookupError(f"no review of action {action_id!r} at {self._asking.address}")
        return case.state

    def _plain(self, lines: Lines[Any], action_id: str) -> Flow[ReviewState]:
        """Find the case in the pending list, then ask for it by its id; one that is not there was decided."""
        mine = self._mine.get(action_id) or _Waiting("")
        if mine.case_id is not None:
            whole = Whole()
            request = self._asking.request(b"GET", f"{wire.REVIEWS}/{quote(mine.case_id, safe='')}", repeatable=True)
            answer = yield from self._asking.once(lines, _made(request, whole), time.monotonic() + self._timeout)
            wire.check_status(answer.status, whole.body, answer.retry_after)
            state = wire.case(whole.body).state
            if state.action_id != action_id:
                raise Fault("wrong", "answered with the case of another action")
            mine.approved = state.status == "approved"
            return state
        for status in ("pending", "approved", "rejected"):
            scan = Scan(action_id, mine.since)
            request = self._asking.request(b"GET", f"{wire.REVIEWS}?status={status}", repeatable=True)
            answer = yield from self._asking.once(lines, _made(request, scan), time.monotonic() + self._timeout)
            wire.check_status(answer.status, b"", answer.retry_after)
            if scan.wrong is not None:
                raise scan.wrong
            if scan.found is not None:
                case = wire.case(wire.written(scan.found))
                mine.case_id, mine.approved = case.id, case.status == "approved"
                return case.state
        return ReviewState(action_id, "pending")

    def redeem(
        self,
        lines: Lines[Any],
        action_id: str,
        digest: str,
        subject: str | None,
        action_type: str | None,
        route: str | None,
        tenant: str | None,
    ) -> Flow[None]:
        """Use up an approval. Raises `ApprovalUsed`, `ApprovalInvalid`, `Fault`."""
        service = self._asking.service
        if service is not None and not service.offers("redeem"):
            mine = self._mine.pop(action_id, None)
            if mine is None or not mine.approved or digest == NO_APPROVALS:
                raise ApprovalInvalid("review", [NO_APPROVALS], action_id)
            return
        if not digest:  # two payloads too large to be read would be told apart by nothing
            raise ApprovalInvalid("review", ["payload-too-large-to-approve"], action_id)
        whole = Whole()
        body = wire.redemption(digest, subject, action_type, route, tenant)
        # Not repeatable: after a lost answer nobody can tell who used it up, and one approval is one execution.
        request = self._asking.request(b"POST", f"/v1/approvals/{quote(action_id, safe='')}/redeem", body)
        answer = yield from self._asking.once(lines, _made(request, whole), time.monotonic() + self._timeout)
        self._mine.pop(action_id, None)
        if answer.status == 409:
            raise ApprovalUsed("review", ["used"], action_id)
        if answer.status in (403, *_REDEEM_STATUSES):
            raise ApprovalInvalid("review", [_reason(answer.status, wire.detail(whole.body))], action_id)
        wire.check_status(answer.status, whole.body, answer.retry_after)


def _made(request: Request, reader: Reader) -> Callable[[wire.Service], tuple[Request, Reader]]:
    return lambda service: (request, reader)


def _reason(status: int, detail: str) -> str:
    """The word that the embedded supervisor uses for the same refusal."""
    known = _REDEEM_STATUSES.get(status)
    return known or next((reason for word, reason in _REFUSALS if word in detail.lower()), "refused-by-the-service")
