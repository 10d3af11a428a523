"""`RemoteSupervisor`: performs the flows of `asking` and `reviews` over real connections, for threads and for tasks."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import anyio
import anyio.lowlevel

from supervisor_guards import _address
from supervisor_guards._config import GuardConfig
from supervisor_guards._model import Action, Entry, Outcome, Result, ReviewState, Verdict
from supervisor_guards._redaction import Redactor
from supervisor_guards._shells import arun, run
from supervisor_guards.errors import SupervisorUnavailable
from supervisor_guards.remote.asking import Asking, Exchange, Flow, Others, Turn
from supervisor_guards.remote.breaker import Breaker
from supervisor_guards.remote.desk import RemoteDesk
from supervisor_guards.remote.faults import Fault
from supervisor_guards.remote.lines import Lines
from supervisor_guards.remote.pools import Pool, Pools
from supervisor_guards.remote.questions import NotRedacted, Questions, finished
from supervisor_guards.remote.reviews import NO_APPROVALS, Reviews
from supervisor_guards.remote.shipping import Shipping
from supervisor_guards.remote.token import ReviewerToken, Token

R = TypeVar("R")
_MASTER_KEY = "SUPERVISOR_MASTER_KEY"


class RemoteSupervisor:
    """Asks the service at `base_url`. Nothing is opened before the first question.

    Raises `SupervisorUnavailable` wherever the service gave no usable answer in time, saying what happened, where, and
    what to do. Its connections belong to one process, and those of tasks to one event loop; a forked child begins with
    none.
    """

    holds_questions = True
    """`review` takes how long the service may keep the question."""

    def __init__(
        self,
        address: _address.Address,
        app_id: str,
        secret: str,
        *,
        scopes: tuple[str, ...] = (),
        redactor: Redactor | None = None,
        timeout: float = 2.0,
        timeouts: Mapping[str, float] | None = None,
        breaker_failures: int = 5,
        breaker_seconds: float = 1.0,
        max_connections: int = 32,
        ca_file: str | None = None,
        reviewer_token: str | None = None,
    ) -> None:
        self._timeout = timeout
        self._timeouts = dict(timeouts or {})
        self._pools = Pools(address, ca_file)
        self._reviewer = ReviewerToken(reviewer_token) if reviewer_token else None
        self._breaker = Breaker(breaker_failures, breaker_seconds)
        self._asking = Asking(address, Token(app_id, secret, scopes), self._breaker, max_connections)
        # What the service knows as well, unless the application has a key of its own.
        key = os.environ.get(_MASTER_KEY, "").strip() or secret
        self._questions = Questions(redactor or Redactor(), key.encode())
        self._reviews = Reviews(self._asking, timeout)
        self._shipping = Shipping(self._asking, self._questions, self._pools.open_line, timeout)
        _supervisors.add(self)

    @classmethod
    def from_config(cls, config: GuardConfig) -> RemoteSupervisor:
        """The supervisor that `config` asks for. Raises `ValueError` for settings with `service_problems`."""
        own = {name: each.get("evaluate_timeout_seconds") for name, each in config.actions.items()}
        return cls(
            _address.parsed(config.base_url or ""),
            config.app_id,
            config.shared_secret or "",
            scopes=config.scopes,
            redactor=Redactor(extra_names=config.redact, allow=config.redact_allow or None),
            timeout=config.evaluate_timeout_seconds,
            timeouts={name: seconds for name, seconds in own.items() if seconds is not None},
            breaker_failures=config.breaker_failures,
            breaker_seconds=config.breaker_seconds,
            max_connections=config.max_connections,
            ca_file=config.ca_file,
            reviewer_token=config.reviewer_token,
        )

    def __repr__(self) -> str:
        return f"<RemoteSupervisor at {self._asking.address}>"

    @property
    def breaker(self) -> Literal["closed", "half-open", "open"]:
        """The state of the circuit breaker."""
        return self._breaker.state

    def evaluate(self, action: Action, shadow: bool) -> Verdict:
        """The service's verdict, within the action's deadline. Raises `SupervisorUnavailable`."""
        pool = self._pools.here()
        return run(self._evaluated(pool, action, shadow), _perform)

    async def aevaluate(self, action: Action, shadow: bool) -> Verdict:
        """`evaluate` on the event loop; cancelling it ends its question."""
        pool = await self._pools.ahere()
        return await arun(self._evaluated(pool, action, shadow), _aperform)

    def review(self, action_id: str, hold: float = 0.0) -> ReviewState:
        """Where the review stands. The service may keep the question for `hold` seconds until that changes."""
        pool = self._pools.here()
        return run(self._told(self._reviews.look(pool.lines, pool.waits, action_id, hold), action_id), _perform)

    async def areview(self, action_id: str, hold: float = 0.0) -> ReviewState:
        """`review` on the event loop."""
        pool = await self._pools.ahere()
        flow = self._told(self._reviews.look(pool.lines, pool.waits, action_id, hold), action_id)
        return await arun(flow, _aperform)

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
        """Use up the approval at the service, once. A plain service has none but those that a call waited for."""
        lines = self._pools.here().lines
        flow = self._reviews.redeem(lines, action_id, digest, subject, action_type, route, tenant)
        run(self._told(flow, action_id), _perform)

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
        """`redeem` on the event loop."""
        lines = (await self._pools.ahere()).lines
        flow = self._reviews.redeem(lines, action_id, digest, subject, action_type, route, tenant)
        await arun(self._told(flow, action_id), _aperform)

    def desk(self) -> RemoteDesk:
        """Where people read and decide what the service keeps; opens nothing."""
        return RemoteDesk(self, self._reviewer, self._timeout)

    def perform(self, flow: Flow[R], action_id: str | None = None) -> R:
        """Run a flow of `asking` for a sync caller. Raises `SupervisorUnavailable` where it raises `Fault`."""
        return run(self._told(flow, action_id), _perform)

    @property
    def asking(self) -> Asking:
        """How the service is asked."""
        return self._asking

    @property
    def lines(self) -> Lines[Any]:
        """The lines of this process."""
        return self._pools.here().lines

    def record(self, entries: Sequence[Entry]) -> None:
        """Have shadow calls judged at the service, which stores them. Raises `NotNow` with what is left."""
        self._shipping.record(entries)

    def report(self, results: Sequence[tuple[str, Result]], dropped: int = 0) -> None:
        """Tell how actions ended, where the service wants to know. Raises `NotNow`."""
        self._shipping.report(results)

    def upkeep(self) -> None:
        """Nothing to keep up: the policy is the service's."""

    def digest(self, action: Action) -> str:
        """The keyed digest an approval is bound to. A plain service has no approvals that a later call could use."""
        service = self._asking.service
        if action.approval is not None and service is not None and not service.offers("redeem"):
            return NO_APPROVALS
        return self._questions.digest(action)

    def close(self) -> None:
        """Close the connections of sync callers and of the background thread; idempotent."""
        self._shipping.close()
        self._pools.close()

    async def aclose(self) -> None:
        """`close`, and the connections of this event loop."""
        self.close()
        await self._pools.aclose()

    def _forked(self) -> None:
        if self._shipping.line is not None:
            self._shipping.line.forget()
        self._pools.forget()
        self._shipping.reset()
        self._reviews.reset()
        self._breaker.reset()

    def _evaluated(self, pool: Pool, action: Action, shadow: bool) -> Flow[Verdict]:
        deadline = time.monotonic() + self._timeouts.get(action.action_type, self._timeout)
        try:
            question = self._questions.question(action, shadow)
        except NotRedacted:
            message = "the payload could not be redacted, so none of it was sent to the supervisor"
            raise SupervisorUnavailable(message, action.action_id) from None
        verdict = yield from self._told(self._asking.evaluate(pool.lines, question, deadline), action.action_id)
        service = self._asking.service
        if verdict.outcome is Outcome.REVIEW and verdict.action_id:
            self._reviews.opened(verdict.action_id)
        return finished(verdict, action, service is not None and service.ours)

    def _told(self, flow: Flow[R], action_id: str | None) -> Flow[R]:
        try:
            return (yield from flow)
        except Fault as fault:
            raise self._asking.unavailable(fault, action_id) from None


def _perform(effect: Exchange | Turn | Others) -> Any:
    return _SYNC[type(effect)](effect)


def _aperform(effect: Exchange | Turn | Others) -> Any:
    return _ASYNC[type(effect)](effect)


_SYNC: dict[type, Callable[[Any], Any]] = {
    Exchange: lambda effect: effect.line.exchange(effect.request, effect.deadline, effect.reader),
    Turn: lambda effect: effect.ticket.turned.wait(max(0.0, effect.ticket.deadline - time.monotonic())),
    Others: lambda effect: None,
}


async def _turn(effect: Turn) -> None:
    with anyio.move_on_after(max(0.0, effect.ticket.deadline - time.monotonic())):
        await effect.ticket.turned.wait()


_ASYNC: dict[type, Callable[[Any], Any]] = {
    Exchange: lambda effect: effect.line.exchange(effect.request, effect.deadline, effect.reader),
    Turn: _turn,
    Others: lambda effect: anyio.lowlevel.checkpoint(),
}


_supervisors: weakref.WeakSet[RemoteSupervisor] = weakref.WeakSet()


def _after_fork() -> None:
    for supervisor in list(_supervisors):
        supervisor._forked()


os.register_at_fork(after_in_child=_after_fork)
