"""What the engine's tests share: a scripted supervisor for faults that can't be made otherwise, and entries."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from supervisor_guards import Guard, GuardConfig
from supervisor_guards._config import Terms
from supervisor_guards._model import Action, Entry, Hit, Outcome, Result, ReviewState, Snapshot, Verdict
from supervisor_guards.config import reset_for_tests

FORK_IS_MEANT = "ignore:This process:DeprecationWarning"
"""For `-W`: from 3.12 on, Python warns of every fork beside a thread. These tests are about just that."""

POLICY = """
name: refund.base
version: 1
action: [refund, transfer]
rules:
  - id: hard-cap
    when: payload.amount > 10000
    action: deny
    reason: amount-exceeds-hard-cap
  - id: second-look
    when: payload.amount > 1000
    action: review
    reason: amount-needs-a-look
"""

ALLOW = Verdict(Outcome.ALLOW)
DENY = Verdict(Outcome.DENY, ("too-much",), (Hit("cap", "deny", "too-much"),), recorded=True)
REVIEW = Verdict(Outcome.REVIEW, ("odd",), (Hit("look", "review", "odd"),), recorded=True)

TERMS = Terms(
    mode="enforce",
    on_review="block",
    on_unavailable="fail_closed",
    sample_percent=10,
    review_timeout_seconds=60.0,
    review_poll_interval_seconds=2.0,
    audit="async",
)


def entry(body: bytes = b'{"amount": 1}', **fields: Any) -> Entry:
    """An enforced call that waits for its verdict. `fault` is its snapshot's."""
    snapshot = Snapshot(body, fault=fields.pop("fault", None))
    values: dict[str, Any] = {"mode": "enforce", "enforced": True, "context": None, **fields}
    return Entry(Action("action-1", "refund", snapshot, 1_800_000_000.0, **values))


class FakeSupervisor:
    """Answers `verdict`, or raises it where it is an error; keeps what it was asked to record.

    `judge` sees the action and chooses the verdict. `recording` runs on whichever thread records.
    """

    def __init__(
        self,
        verdict: Verdict | BaseException = ALLOW,
        *,
        judge: Callable[[Action], Verdict] | None = None,
        recording: Callable[[], None] = lambda: None,
    ) -> None:
        self.verdict = verdict
        self.judge = judge
        self.recording = recording
        self.recorded: list[Entry] = []
        self.results: list[tuple[str, Result]] = []
        self.closed = 0

    def evaluate(self, action: Action, shadow: bool) -> Verdict:
        if self.judge is not None:
            return self.judge(action)
        if isinstance(self.verdict, BaseException):
            raise self.verdict
        return self.verdict

    async def aevaluate(self, action: Action, shadow: bool) -> Verdict:
        return self.evaluate(action, shadow)

    def review(self, action_id: str) -> ReviewState:
        return ReviewState(action_id, "pending")

    async def areview(self, action_id: str) -> ReviewState:
        return self.review(action_id)

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
        raise AssertionError("nothing here can be redeemed")

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
        self.redeem(action_id, digest, subject, action_type=action_type, route=route, tenant=tenant)

    def record(self, entries: Sequence[Entry]) -> None:
        self.recording()
        for one in entries:
            if one.verdict is None:
                one.verdict = self.evaluate(one.action, True)
            one.taken = True
        self.recorded += entries

    def upkeep(self) -> None:
        pass

    def report(self, results: Sequence[tuple[str, Result]], dropped: int = 0) -> None:
        self.results += results

    def digest(self, action: Action) -> str:
        return ""

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.close()


def settings(folder: Path, mode: str = "enforce", policy: str = POLICY, **changes: Any) -> GuardConfig:
    """Settings for an embedded guard of real parts, all of them in `folder`."""
    (folder / "supervisor.yaml").write_text(policy)
    values: dict[str, Any] = {
        "enforcement_mode": mode,
        "policy": str(folder / "supervisor.yaml"),
        "state_dir": str(folder / ".supervisor"),
        "review_poll_interval_seconds": 0.01,
        **changes,
    }
    return GuardConfig(**values)


@contextlib.contextmanager
def default_guard(config: GuardConfig, supervisor: Any = None, **options: Any) -> Iterator[Guard]:
    """A guard that the module-level functions act on for the length of the block; closed afterwards."""
    from supervisor_guards._default import set_guard

    guard = Guard(config, supervisor, **options)
    set_guard(guard)
    try:
        yield guard
    finally:
        reset_for_tests()


def rows(guard: Guard) -> list[Any]:
    """The decisions in the store of an embedded guard, oldest first."""
    assert guard.flush()
    return list(reversed(guard.supervisor.store.decisions(limit=100_000)))  # type: ignore[attr-defined]
