"""For the tests of applications: a supervisor that answers by a script and keeps what it was asked.

>>> from supervisor_guards import supervised
>>> from supervisor_guards.testing import deny, scripted
>>> refund = supervised("refund")(lambda amount: amount)
>>> with scripted(deny("too-much")) as supervisor:
...     refund(5)
Traceback (most recent call last):
...
supervisor_guards.errors.SupervisorBlocked: ...

With pytest, the fixture `scripted_supervisor` is that block around a test; installing the package is enough.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from supervisor_guards._config import GuardConfig
from supervisor_guards._default import set_apart
from supervisor_guards._guard import Guard, stand_in
from supervisor_guards._model import Action, Mode, Outcome, Result, ReviewState, Verdict
from supervisor_guards._payload import decode
from supervisor_guards._scripts import Answer, Script, allow, deny, down, review, slow
from supervisor_guards.embedded.memory import MemoryStore
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor
from supervisor_guards.errors import ConfigurationError, SupervisorUnavailable

__all__ = [
    "SETTINGS",
    "Answer",
    "Call",
    "Script",
    "ScriptedSupervisor",
    "allow",
    "deny",
    "down",
    "review",
    "scripted",
    "slow",
]

SETTINGS: Mapping[str, Any] = {
    "enforcement_mode": "enforce",
    "review_poll_interval_seconds": 0.001,
    "review_timeout_seconds": 5.0,
}
"""What `scripted` and the fixtures set where a test says nothing: enforced, and nobody waits long."""

_LOOK_SECONDS = 0.005
_KEY = b"the key of scripted supervisors "


@dataclass(frozen=True)
class Call:
    """One guarded call as the supervisor saw it."""

    action_id: str
    action_type: str
    payload: dict[str, Any]
    """As it came, before redaction."""
    mode: Mode
    enforced: bool
    """False for one that was only observed: shadow, or the shadow side of `sample`."""
    context: dict[str, Any]
    """What `observing` set."""
    subject: str | None
    route: str | None
    answer: Answer
    polls: int = 0
    """How often the caller has asked how the review stands."""
    result: Result | None = None
    """How the action ended: `returned`, `raised`, `not-run`; None while it runs."""


class ScriptedSupervisor(EmbeddedSupervisor):
    """Answers every action by `answers`, one after the other; the last one stays. With none, everything is allowed.

    `on` gives an action type answers of its own. Reviews, approvals and the record are those of the embedded
    supervisor, in memory (`store`): an approval runs one execution, of the same content by the same subject.
    """

    in_process = False
    """Like a service, it may keep its callers waiting."""

    def __init__(self, *answers: Script) -> None:
        super().__init__(_no_policy, MemoryStore, lambda: _KEY)
        self._otherwise = list(answers) or [allow()]
        self._scripts: dict[str, list[Script]] = {}
        self._asked: list[tuple[Action, Answer]] = []
        self._answers: dict[tuple[str, float], Answer] = {}
        self._reviews: dict[str, Answer] = {}
        self._cases: dict[str, str] = {}
        self._polls: dict[str, int] = {}
        self._released = threading.Event()
        self._changed = threading.Condition()

    def on(self, action_type: str, *answers: Script) -> ScriptedSupervisor:
        """From now on answer `action_type` by `answers`, one after the other; the last one stays."""
        if not answers:
            raise ValueError(f"on({action_type!r}): give at least one answer, such as allow()")
        with self._changed:
            self._scripts[action_type] = list(answers)
        return self

    @property
    def calls(self) -> list[Call]:
        """What was asked so far, oldest first, observed calls included."""
        with self._changed:
            return [self._call(action, answer) for action, answer in self._asked]

    def calls_of(self, action_type: str) -> list[Call]:
        """The calls of one action type."""
        return [call for call in self.calls if call.action_type == action_type]

    def wait_for_calls(self, count: int, timeout: float = 5.0) -> list[Call]:
        """Wait until `count` calls have come, from whichever thread. Raises `TimeoutError` after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._asked) >= count, timeout):
                raise TimeoutError(f"{len(self._asked)} calls came within {timeout:g} s, not {count}")
        return self.calls

    def approve(
        self,
        action_id: str | None = None,
        *,
        notes: str | None = None,
        approver: str = "reviewer",
        timeout: float = 5.0,
    ) -> None:
        """Be the person who approves; without `action_id`, the newest pending review, waiting for one if need be.

        Raises `LookupError` where none is pending after `timeout` seconds.
        """
        self.store.resolve(action_id or self._pending(timeout), "approved", approver, notes)

    def reject(
        self,
        action_id: str | None = None,
        *,
        notes: str | None = None,
        approver: str = "reviewer",
        timeout: float = 5.0,
    ) -> None:
        """`approve`, saying no."""
        self.store.resolve(action_id or self._pending(timeout), "rejected", approver, notes)

    def release(self) -> None:
        """Let every `slow` answer come, those that are waited for and later ones."""
        self._released.set()

    # What a guard asks.

    def evaluate(self, action: Action, shadow: bool) -> Verdict:
        """The script's verdict. Raises `SupervisorUnavailable` for `down`, and for `slow` at its deadline."""
        answer = self._answer_to(action)
        if answer.deadline is not None:
            self._released.wait(answer.deadline)
        return self._kept(action, answer, super().evaluate(action, shadow))

    async def aevaluate(self, action: Action, shadow: bool) -> Verdict:
        """`evaluate`, waiting on the event loop's clock: no thread is held."""
        answer = self._answer_to(action)
        if answer.deadline is not None:
            await self._areleased(answer.deadline)
        return self._kept(action, answer, super().evaluate(action, shadow))

    def judge(self, action: Action) -> tuple[Verdict, dict[str, Any]]:
        """The script's verdict on `action`, without waiting."""
        payload = decode(action.snapshot)
        answer = self._answer_to(action)
        if answer.verdict is None or (answer.deadline is not None and not self._released.is_set()):
            raise SupervisorUnavailable(answer.message, action.action_id)
        if action.snapshot.fault is not None:
            return Verdict(Outcome.DENY, reasons=(action.snapshot.fault,), unusable=True), payload
        return answer.verdict, payload

    def review(self, action_id: str) -> ReviewState:
        """Where the review stands; the script's person decides when it is their time."""
        with self._changed:
            self._polls[action_id] = self._polls.get(action_id, 0) + 1
        self._decide(action_id)
        return self.store.review(action_id)

    async def areview(self, action_id: str) -> ReviewState:
        """`review`, which waits for nothing."""
        return self.review(action_id)

    async def aredeem(self, action_id: str, digest: str, subject: str | None, **claim: str | None) -> None:
        """`redeem`, which waits for nothing."""
        self.redeem(action_id, digest, subject, **claim)

    def action_types(self) -> tuple[str, ...]:
        """The action types that have a script of their own, sorted."""
        return tuple(sorted(self._scripts))

    def _answer_to(self, action: Action) -> Answer:
        """The answer to `action`: the next one of its script when it is asked for the first time."""
        key = (action.action_id, action.time)
        with self._changed:
            if key not in self._answers:
                script = self._scripts.get(action.action_type, self._otherwise)
                answer = script.pop(0) if len(script) > 1 else script[0]
                if not isinstance(answer, Answer):
                    answer = answer(decode(action.snapshot))
                self._answers[key] = answer
                self._asked.append((action, answer))
                self._changed.notify_all()
            return self._answers[key]

    def _kept(self, action: Action, answer: Answer, verdict: Verdict) -> Verdict:
        """`verdict`, once the review that it opened or joined has its script."""
        if verdict.action_id is not None:
            with self._changed:
                self._cases[action.action_id] = verdict.action_id
                self._reviews.setdefault(verdict.action_id, answer)
                self._changed.notify_all()
            self._decide(verdict.action_id)
        return verdict

    def _decide(self, action_id: str) -> None:
        with self._changed:
            answer = self._reviews.get(action_id)
            due = answer is not None and self._polls.get(action_id, 0) >= answer.polls
            if answer is None or answer.resolution is None or not due:
                return
            if self.store.review(action_id).status == "pending":
                self.store.resolve(action_id, answer.resolution, "reviewer", answer.notes)

    def _pending(self, timeout: float) -> str:
        with self._changed:
            pending = self._changed.wait_for(lambda: self.store.reviews("pending", 1), timeout)
        if not pending:
            raise LookupError("no review is pending: nobody asked for one, or it was decided already")
        return pending[0].action_id

    def _call(self, action: Action, answer: Answer) -> Call:
        row = self.store.decision(action.action_id)
        return Call(
            action.action_id,
            action.action_type,
            decode(action.snapshot),
            action.mode,
            action.enforced,
            dict(action.context or {}),
            action.subject,
            action.route,
            answer,
            self._polls.get(self._cases.get(action.action_id, ""), 0),
            None if row is None else row.result,
        )

    async def _areleased(self, seconds: float) -> None:
        import anyio

        # The release may come from any thread, or from another loop: an event of one loop can't tell.
        until = time.monotonic() + seconds
        while not self._released.is_set() and (left := until - time.monotonic()) > 0:
            await anyio.sleep(min(_LOOK_SECONDS, left))


@contextlib.contextmanager
def scripted(*answers: Script, settings: Mapping[str, Any] | None = SETTINGS) -> Iterator[ScriptedSupervisor]:
    """A `ScriptedSupervisor` that answers every guard made in the block, the default one first.

    `settings` are those of the default guard, as keywords of `GuardConfig`, over `SETTINGS`; None leaves them to the
    application (`configure`, Django's settings, the environment). The default guard that was there comes back
    afterwards, untouched; guards that the application holds itself keep their own supervisor. Raises
    `ConfigurationError` for settings that can't work.
    """
    supervisor = ScriptedSupervisor(*answers)
    own = None if settings is None else GuardConfig(**{**SETTINGS, **settings})
    former = stand_in(supervisor)
    try:
        with set_apart(None if own is None else Guard(own)):
            yield supervisor
    finally:
        stand_in(former)


def _no_policy() -> Any:
    raise ConfigurationError("a scripted supervisor has no policy: its answers are those of its script")
