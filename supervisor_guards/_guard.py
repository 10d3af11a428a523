"""`Guard`: the composition root. It turns a call into an action, runs the flow, and hands on the record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from supervisor_guards import _events
from supervisor_guards._background import Worker
from supervisor_guards._binding import Call
from supervisor_guards._config import GuardConfig, Terms
from supervisor_guards._context import Facts, current_approval, current_facts, current_observed
from supervisor_guards._desk import Desk, HasDesk, NoDesk
from supervisor_guards._flow import Flow, NotNow, decide
from supervisor_guards._ids import new_action_id
from supervisor_guards._model import Action, Decision, Entry, Outcome, Result, Snapshot, Supervisor, Verdict
from supervisor_guards._payload import snapshot
from supervisor_guards._sampling import bucket
from supervisor_guards._shells import aperforming, arun, performing, run
from supervisor_guards._stats import Stats, Tally, breaker_of
from supervisor_guards.errors import ConfigurationError

logger = logging.getLogger("supervisor_guards")

_NO_FACTS = Facts()
Extract = Callable[[tuple[Any, ...], dict[str, Any]], Any]
SampleKey = Callable[[str, Any], str]

_stand_in: Supervisor | None = None


def stand_in(supervisor: Supervisor | None) -> Supervisor | None:
    """For tests: what answers guards that are made from now on, whatever their settings; None ends that.

    Such guards work inline. The former stand-in is returned, to be put back.
    """
    global _stand_in
    former, _stand_in = _stand_in, supervisor
    return former


class Guard:
    """One check in front of risky actions.

    `config` is read from the environment when it is None. `supervisor` answers; by default the service at `base_url`,
    else the embedded one. Nothing is opened before the first guarded call, unless the embedded one enforces something:
    then the policy and the store are checked here, and `ConfigurationError` lists every fault. `inline` does the
    background work in the caller, for tests.
    """

    def __init__(
        self, config: GuardConfig | None = None, supervisor: Supervisor | None = None, *, inline: bool = False
    ) -> None:
        self.config = config or GuardConfig.load()
        if supervisor is None and _stand_in is not None:
            supervisor, inline = _stand_in, True
        problems = self.config.problems()
        if supervisor is None and self.config.enforces:
            problems += self.config.service_problems()
        if problems:
            raise ConfigurationError([*problems, *([] if supervisor else _policy_problems(self.config))])
        self._announcer = _events.Announcer(expires_seconds=self.config.review_expires_seconds)
        self._tally = Tally()
        self.supervisor: Supervisor = supervisor or _chosen(self.config)
        self._dropped_told = 0
        self._worker = Worker(
            self._record,
            capacity=self.config.queue_size,
            max_bytes=self.config.queue_bytes,
            inline=inline,
            idle=self._upkeep,
            forked=self._forked,
        )
        self._late = self._worker.add
        self._limit = self.config.max_payload_bytes
        judging: Any = self.supervisor
        if supervisor is None and not self.config.enforces and not self.config.remote:
            judging = _ShadowOnly(judging, self.config.shadow_only or tuple(self.config.service_problems()))
        self._perform = performing(judging)
        self._aperform = aperforming(judging)
        self._terms: dict[tuple[str, str | None, str | None, bool], Terms] = {}

    def check(
        self, action_type: str, payload: Any, *, on_review: str | None = None, mode: str | None = None
    ) -> Decision:
        """Decide whether `action_type` with `payload` may run; a refusal is in the decision, not raised.

        `on_review` and `mode` override the settings for this call. Raises `ConfigurationError` for unknown values.
        """
        return _decided(self.admit(action_type, _as_given, (payload,), {}, on_review, mode))

    async def acheck(
        self, action_type: str, payload: Any, *, on_review: str | None = None, mode: str | None = None
    ) -> Decision:
        """`check` for async callers."""
        return _decided(await self.aadmit(action_type, _as_given, (payload,), {}, on_review, mode))

    def require(
        self, action_type: str, payload: Any, *, on_review: str | None = None, mode: str | None = None
    ) -> Decision:
        """`check`, raising what refuses: `SupervisorBlocked`, `SupervisorReviewPending`, `SupervisorUnavailable`."""
        return _accepted(self.check(action_type, payload, on_review=on_review, mode=mode))

    async def arequire(
        self, action_type: str, payload: Any, *, on_review: str | None = None, mode: str | None = None
    ) -> Decision:
        """`require` for async callers."""
        return _accepted(await self.acheck(action_type, payload, on_review=on_review, mode=mode))

    def admit(
        self,
        action_type: str,
        extract: Extract,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        on_review: str | None = None,
        mode: str | None = None,
        call: Call | None = None,
        sample_key: SampleKey | None = None,
    ) -> Entry:
        """Decide on the call whose payload is `extract(args, kwargs)`.

        `call` names the parameters given by position, where the payload is the call's own arguments;
        `sample_key` stands before the setting of that name. The entry holds the decision, None where the call is
        only observed, and takes the call's result.
        """
        entry = self._begin(action_type, extract, args, kwargs, on_review, mode, call, sample_key)
        return run(self._decide(entry, on_review, mode), self._perform) if entry.action.enforced else entry

    async def aadmit(
        self,
        action_type: str,
        extract: Extract,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        on_review: str | None = None,
        mode: str | None = None,
        call: Call | None = None,
        sample_key: SampleKey | None = None,
    ) -> Entry:
        """`admit` for async callers."""
        entry = self._begin(action_type, extract, args, kwargs, on_review, mode, call, sample_key)
        return await arun(self._decide(entry, on_review, mode), self._aperform) if entry.action.enforced else entry

    def _begin(
        self,
        action_type: str,
        extract: Extract,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        on_review: str | None,
        mode: str | None,
        call: Call | None,
        sample_key: SampleKey | None,
    ) -> Entry:
        """The entry of a call. One that is only observed is queued here: that is all shadow costs its caller."""
        facts = current_facts()
        terms = self._terms_of(action_type, on_review, mode, facts is not None)
        try:
            try:
                body = snapshot(extract(args, kwargs), self._limit)
            except Exception:
                # In enforce this refuses the call, in shadow it is recorded so: the caller's own error comes from
                # the caller's own function, never from describing it.
                body = Snapshot(b"{}", fault="payload-raised")
            entry = self._entry(action_type, body, terms, facts, call, sample_key)
        except Exception as error:
            # Only a bug of ours gets here. In shadow it must not reach the caller; elsewhere it must not allow.
            if terms.mode != "shadow":
                raise
            return self._lost(action_type, error)
        if not entry.action.enforced:
            self._worker.put(entry, len(body.body))
        return entry

    def _decide(self, entry: Entry, on_review: str | None, mode: str | None) -> Flow[Entry]:
        action = entry.action
        terms = self._terms_of(action.action_type, on_review, mode, current_facts() is not None)
        started = time.perf_counter_ns()
        entry.decision = yield from decide(entry, terms, time.monotonic, self._enqueue)
        entry.latency_us = (time.perf_counter_ns() - started) // 1_000
        self._tally.waited(entry.latency_us)
        self._after(entry, entry.decision)
        return entry

    def _entry(
        self,
        action_type: str,
        body: Snapshot,
        terms: Terms,
        facts: Facts | None,
        call: Call | None,
        sample_key: SampleKey | None,
    ) -> Entry:
        now = time.time()
        observed = current_observed()
        context = observed.plain if observed is not None else None
        facts = facts or _NO_FACTS
        side = None
        if terms.mode == "sample":
            key = sample_key or self.config.sample_key
            side = bucket(self.config.app_id, action_type, key, facts.subject, context, body)
        enforced = terms.mode == "enforce" or (side is not None and side < terms.sample_percent)
        action = Action(
            new_action_id(now),
            action_type,
            body,
            now,
            terms.mode,
            enforced,
            context,
            facts.subject,
            facts.route,
            facts.request,
            side,
            terms.proceeds,
            call,
            current_approval(),
            facts.tenant,
        )
        return Entry(action, late=self._late)

    def _lost(self, action_type: str, error: Exception) -> Entry:
        self._tally.lost += 1
        if self._tally.lost == 1:
            logger.error("a shadow call of %s was not recorded; more are only counted", action_type, exc_info=error)
        now = time.time()
        return Entry(Action(new_action_id(now), action_type, Snapshot(b"{}"), now))

    def _after(self, entry: Entry, decision: Decision) -> None:
        """An enforced decision that is more than a plain allow: say so, and store what is not stored yet."""
        if decision.error is not None or decision.status != "evaluated":
            self._announcer.refused(entry.action, decision)
        if decision.error is not None:
            self._tally.refused += 1
            entry.settle("not-run")
        elif decision.status != "evaluated":
            self._tally.unavailable += 1
        if decision.status == "unavailable":
            entry.verdict = entry.verdict or Verdict(Outcome.DENY, reasons=decision.reasons)
            self._worker.put(entry, len(entry.action.snapshot.body))

    def _enqueue(self, entry: Entry) -> bool:
        # What is stored already is queued only to be announced; its result then travels by itself.
        entry.taken = entry.verdict is not None and entry.verdict.recorded
        room = self._worker.offer(entry, len(entry.action.snapshot.body))
        if not room:
            self._tally.unheard += 1
        return room

    def _terms_of(self, action_type: str, on_review: str | None, mode: str | None, in_request: bool) -> Terms:
        key = (action_type, on_review, mode, in_request)
        terms = self._terms.get(key)
        if terms is None:
            terms = self.config.terms(action_type, on_review=on_review, mode=mode, in_request=in_request)
            if len(self._terms) < 10_000:  # action types are a program's own words; bound them all the same
                self._terms[key] = terms
        return terms

    def _record(self, batch: Sequence[Any], final: bool) -> None:
        """The background thread's work: evaluate what shadow let pass, store, then announce."""
        late = _pairs(batch)
        entries = [item for item in batch if isinstance(item, Entry)]
        fresh = [entry for entry in entries if entry.verdict is None or not entry.verdict.recorded]
        try:
            if fresh:
                self.supervisor.record(fresh)
            dropped = self._worker.dropped - self._dropped_told
            if late or dropped:
                self.supervisor.report([(entry.action.action_id, result) for entry, result in late], dropped)
                self._dropped_told += dropped
        except NotNow as later:
            waiting = {id(entry) for entry in later.left}
            left = [item for item in batch if isinstance(item, tuple) or id(item) in waiting]
            entries = [entry for entry in entries if id(entry) not in waiting]
            raise NotNow(left, later.seconds) from None
        finally:
            self._tally.count(entries)
            for entry in entries:
                self._announcer.observed(entry)

    def _upkeep(self) -> None:
        self._announcer.look(self.supervisor.review)
        self.supervisor.upkeep()

    def _forked(self) -> None:
        self._tally.reset()
        self._announcer.reset()
        self._dropped_told = 0

    def add_hook(self, hook: _events.Hook, *more: _events.Hook) -> None:
        """Call `hook(event)` on the background thread: for every decision, review that now waits, and end of one.

        Hooks are called in the order they were added; what one raises stops no other. Raises `TypeError` for
        an async hook.
        """
        self._announcer.add_hooks((hook, *more))

    def desk(self) -> Desk:
        """Where people read decisions and decide reviews; it waits for its store, so keep it off the event loop.

        Raises `NoDesk`, saying why, for a supervisor whose record can't be read from here, and
        `SupervisorUnavailable` where its store can't be opened.
        """
        if not isinstance(self.supervisor, HasDesk):
            raise NoDesk(
                f"the supervisor in use ({type(self.supervisor).__name__}) shows no decisions or reviews here: "
                "look at them, and decide them, where it keeps them"
            )
        return self.supervisor.desk()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until every decision made so far is stored, at most `timeout` seconds; False if it isn't."""
        return self._worker.flush(timeout)

    def stats(self) -> Stats:
        """Counts since this guard was made, in this process, and how long callers waited. Raises nothing."""
        return self._tally.stats(
            dropped=self._worker.dropped,
            waiting=self._worker.waiting,
            hook_errors=self._announcer.hook_errors,
            lookup_errors=self._announcer.lookup_errors,
            breaker=breaker_of(self.supervisor),
        )

    def close(self, timeout: float = 5.0) -> None:
        """Store what is queued, within `timeout` seconds, and release the supervisor; idempotent."""
        if self._worker.close(timeout):
            self.supervisor.close()

    async def aclose(self, timeout: float = 5.0) -> None:
        """`close` off the event loop, where that waits."""
        import anyio.to_thread

        if await anyio.to_thread.run_sync(self._worker.close, timeout):
            await self.supervisor.aclose()


class _ShadowOnly:
    """In front of the embedded supervisor of settings that ask for nothing but shadow: opened for just that.

    A rule or a call may ask for more. Then it judges by a policy that somebody has chosen, and by nothing else: not in
    the place of a service that the settings name and can't reach, and not where `problems` left their defaults.
    """

    def __init__(self, supervisor: Any, problems: tuple[str, ...]) -> None:
        self._supervisor = supervisor
        self._problems = problems

    def __getattr__(self, name: str) -> Any:
        return getattr(self._supervisor, name)

    def evaluate(self, action: Action, shadow: bool) -> Verdict:
        """The verdict. Raises `ConfigurationError` where there can be none."""
        self._check()
        verdict: Verdict = self._supervisor.evaluate(action, shadow)
        return verdict

    async def aevaluate(self, action: Action, shadow: bool) -> Verdict:
        """`evaluate` for async callers."""
        self._check()
        verdict: Verdict = await self._supervisor.aevaluate(action, shadow)
        return verdict

    def _check(self) -> None:
        if self._problems:
            raise ConfigurationError(self._problems)
        if self._supervisor.policy.shadow_only:
            from supervisor_guards.embedded.parts import no_policy

            raise no_policy()


def _pairs(batch: Sequence[Any]) -> list[tuple[Entry, Result]]:
    return [item for item in batch if isinstance(item, tuple)]


def _as_given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0]


def _decided(entry: Entry) -> Decision:
    return entry.decision or Decision(
        action_id=entry.action.action_id,
        action_type=entry.action.action_type,
        mode=entry.action.mode,
        outcome=Outcome.ALLOW,
        enforced=False,
        status="unknown",
    )


def _accepted(decision: Decision) -> Decision:
    if decision.error is not None:
        raise decision.error
    return decision


def _policy_problems(config: GuardConfig) -> tuple[str, ...]:
    """What is wrong with the policy, told together with other faults instead of after they are mended."""
    from supervisor_guards.embedded.parts import open_policy

    try:
        if config.enforces and not config.base_url:
            open_policy(config)
    except ConfigurationError as error:
        return error.problems
    return ()


def _chosen(config: GuardConfig) -> Supervisor:
    if config.remote:
        from supervisor_guards.remote.client import RemoteSupervisor

        return RemoteSupervisor.from_config(config)
    from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

    return EmbeddedSupervisor.from_config(config)
