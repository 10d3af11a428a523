"""The supervisor in the process: policy, decision log and review queue, with no server to start."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from supervisor_guards._binding import published_view
from supervisor_guards._config import GuardConfig
from supervisor_guards._digest import digest as keyed_digest
from supervisor_guards._flow import Unrecorded
from supervisor_guards._markers import UNREAD
from supervisor_guards._model import Action, Entry, Outcome, Result, ReviewState, Verdict
from supervisor_guards._payload import decode
from supervisor_guards._redaction import Redactor
from supervisor_guards.embedded import parts
from supervisor_guards.embedded.chores import Chores
from supervisor_guards.embedded.recording import RowMaker
from supervisor_guards.embedded.transitions import Claim
from supervisor_guards.errors import ApprovalInvalid, ConfigurationError, SupervisorUnavailable

if TYPE_CHECKING:
    from supervisor_guards._desk import Desk
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.rows import DecisionRow
    from supervisor_guards.embedded.store import Store
    from supervisor_guards.policy.source import PolicySource

logger = logging.getLogger("supervisor_guards")

T = TypeVar("T")
_UPKEEP_SECONDS = 1.0
_UNREAD = f'"{UNREAD}"'.encode()


class EmbeddedSupervisor:
    """Judges by a policy file and keeps its record in SQLite or PostgreSQL.

    `open_policy` and `open_store` are called on first use, once. A verdict that refuses or asks for review is
    committed before `evaluate` returns it.
    """

    in_process = True
    """Verdicts come from this process: an allow waits for nothing."""

    def __init__(
        self,
        open_policy: Callable[[], PolicySource],
        open_store: Callable[[], Store | MemoryStore],
        key: Callable[[], bytes],
        *,
        redactor: Redactor | None = None,
        app_id: str = "",
        review_expires_seconds: float = 86_400.0,
        review_window_seconds: float = 600.0,
        chores: Chores | None = None,
    ) -> None:
        self._policy = parts.Once(open_policy)
        self._store = parts.Once(open_store)
        self._key = parts.Once(key)
        self._expires_us = int(review_expires_seconds * 1_000_000)
        self._window_us = int(review_window_seconds * 1_000_000)
        self._chores = chores or Chores()
        self._looked = 0.0
        self._rows = RowMaker(redactor or Redactor(), app_id)
        self._blind = False

    @classmethod
    def from_config(cls, config: GuardConfig) -> EmbeddedSupervisor:
        """The supervisor that `config` asks for.

        When anything is enforced, the policy is loaded and the store opened here, and `ConfigurationError`
        says what is missing and where it was looked for.
        """
        redactor = Redactor(extra_names=config.redact, allow=config.redact_allow or None)
        supervisor = cls(
            partial(parts.open_policy, config),
            partial(parts.open_store, config),
            partial(parts.digest_key, config),
            redactor=redactor,
            app_id=config.app_id,
            review_expires_seconds=config.review_expires_seconds,
            review_window_seconds=config.review_window_seconds,
            chores=Chores.from_config(config),
        )
        if config.enforces:
            supervisor.prepare()
        return supervisor

    def prepare(self) -> None:
        """Open everything now. Raises `ConfigurationError` with each thing that can't be opened."""
        problems: list[str] = []
        for part in (self._policy, self._store, self._key):
            try:
                part()
            except ConfigurationError as error:
                problems += error.problems
            except SupervisorUnavailable as error:
                problems.append(str(error))
        if problems:
            raise ConfigurationError(problems)

    @property
    def policy(self) -> PolicySource:
        """The policy in use. Raises `ConfigurationError` when it can't be loaded."""
        return self._policy()

    @property
    def store(self) -> Store | MemoryStore:
        """The decision store. Raises `SupervisorUnavailable` when it can't be opened."""
        return self._store()

    def desk(self) -> Desk:
        """Where people read the store and decide its reviews. Raises `SupervisorUnavailable` if it can't be opened."""
        from supervisor_guards.embedded.desk import ReviewDesk

        return ReviewDesk(self.store)

    def action_types(self) -> tuple[str, ...]:
        """The action types that the policy covers, sorted."""
        return tuple(sorted(self._policy().current().action_types))

    def judge(self, action: Action) -> tuple[Verdict, dict[str, Any]]:
        """The policy's verdict on `action`, and the payload it read; nothing is stored."""
        payload = decode(action.snapshot)
        if action.snapshot.fault is not None:
            return Verdict(Outcome.DENY, reasons=(action.snapshot.fault,), unusable=True), payload
        policies = self._policy().current()
        seen = payload
        if action.call is not None and policies.reads_call(action.action_type):
            seen = published_view(payload, action.call)
        verdict = policies.evaluate(
            action.action_type,
            seen,
            action.context or {},
            action.request or {},
            marked=bool(action.context or action.request) or b'"__' in action.snapshot.body,
        )
        return verdict, payload

    def evaluate(self, action: Action, shadow: bool) -> Verdict:
        """The verdict; a deny or review is committed before it is returned, unless `shadow`."""
        verdict, payload = self.judge(action)
        if shadow or verdict.outcome is Outcome.ALLOW:
            return verdict
        return self._committed(action, verdict, payload)

    async def aevaluate(self, action: Action, shadow: bool) -> Verdict:
        """`evaluate`, with the write in a worker thread."""
        verdict, payload = self.judge(action)
        if shadow or verdict.outcome is Outcome.ALLOW:
            return verdict
        return await _off_loop(self._committed, action, verdict, payload)

    def _committed(self, action: Action, verdict: Verdict, payload: dict[str, Any]) -> Verdict:
        try:
            case_id = self._commit(action, verdict, payload)
        except Exception as error:
            raise Unrecorded(verdict, error) from error
        return msgspec.structs.replace(verdict, recorded=True, action_id=case_id)

    def _commit(self, action: Action, verdict: Verdict, payload: dict[str, Any]) -> str | None:
        elapsed = max(0, int((time.time() - action.time) * 1_000_000))
        entry = Entry(action, verdict, outcome=verdict.outcome, latency_us=elapsed)
        row = self._rows.row(entry, payload, self.digest(action))
        if verdict.outcome is Outcome.REVIEW and action.approval is None:
            return self._opened(action, row)
        self.store.write([row])
        return None

    def _opened(self, action: Action, row: DecisionRow) -> str:
        """The review that `row` waits for. An action that runs anyway has one of its own, which is over."""
        # As the record shows it: what is secret about it stays out of the review too.
        requester = self._rows.redacted(dict(action.context or {})).get("user_id")
        known = str(requester) if type(requester) in (str, int) else None
        since = row.time - self._window_us if self._window_us and not action.proceeds else None
        case_id = self.store.write_with_review(row, row.time + self._expires_us, known, same_since=since)
        if action.proceeds:
            self.store.mark_executed(action.action_id)
        return case_id

    def evidence(self, action_id: str) -> dict[str, Any]:
        """The version 1 evidence bundle of an action. Raises `LookupError` for an unknown id."""
        from supervisor_guards.embedded.bundle import bundle
        from supervisor_guards.embedded.errors import ReviewNotFound

        decision = self.store.decision(action_id)
        if decision is None:
            raise LookupError(f"no decision on action {action_id!r} in this store")
        try:
            case = self.store.case(action_id)
        except ReviewNotFound:
            case = None
        key = hmac.digest(self._key(), b"evidence bundle", "sha256")
        authentic = self.store.authentic(action_id)
        return bundle(decision, case, key, time.time_ns() // 1_000, authentic=authentic)

    def review(self, action_id: str) -> ReviewState:
        """Where the review stands."""
        return self.store.review(action_id)

    async def areview(self, action_id: str) -> ReviewState:
        """`review` in a worker thread."""
        from supervisor_guards.embedded.threads import off_loop_to_look

        return await off_loop_to_look(self.review, action_id)

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
        """Use up the approval, once, for this content by this subject, on this route."""
        if not digest:  # two payloads too large to be read would be told apart by nothing
            raise ApprovalInvalid("review", ["payload-too-large-to-approve"], action_id)
        self.store.redeem(action_id, Claim(digest, subject, action_type, route, tenant))

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
        """`redeem` in a worker thread."""
        claim = {"action_type": action_type, "route": route, "tenant": tenant}
        await _off_loop(partial(self.redeem, action_id, digest, subject, **claim))

    def record(self, entries: Sequence[Entry]) -> None:
        """Judge the entries without a verdict (shadow), and store all of them in one transaction."""
        rows = []
        for entry in entries:
            payload = self._judged(entry) if entry.verdict is None else decode(entry.action.snapshot)
            entry.taken = True  # before `result` is read: a result set later is then sent by its caller
            rows.append(self._rows.row(entry, payload, self._digest_if_keyed(entry.action)))
        self.store.write(rows)

    def _judged(self, entry: Entry) -> dict[str, Any]:
        started = time.perf_counter_ns()
        try:
            verdict, payload = self.judge(entry.action)
        except Exception as error:
            # A policy that can't be loaded: what enforce would have said can't be known.
            # Told when it begins, not for each call.
            if not self._blind:
                logger.error("shadow can't judge, so rows say `unknown`: %s", error)
            self._blind = True
            entry.status = "unknown"
            verdict, payload = Verdict(Outcome.ALLOW, reasons=("not-judged",)), decode(entry.action.snapshot)
        else:
            self._blind = False
            if verdict.unusable and _UNREAD in entry.action.snapshot.body:
                # Enforce would have read what the application left unread: what it held can't be known.
                entry.status = "unknown"
        entry.verdict = verdict
        entry.latency_us = (time.perf_counter_ns() - started) // 1_000
        return payload

    def report(self, results: Sequence[tuple[str, Result]], dropped: int = 0) -> None:
        """Store how actions ended whose rows were written before they ended."""
        self.store.write([], results=results, drops=dropped)

    def upkeep(self) -> None:
        """About once a second look for an edited policy, so that compiling it stays off the caller's path, and
        do the store's chores."""
        if time.monotonic() - self._looked < _UPKEEP_SECONDS:
            return
        self._looked = time.monotonic()
        if self._policy.made:
            self._policy().refresh()
        if self._store.made:
            self._chores.tend(self._store())

    def digest(self, action: Action) -> str:
        """The keyed digest of action type and payload; empty where the payload was too large to be read."""
        return keyed_digest(self._key(), action.action_type, action.snapshot) or ""

    def _digest_if_keyed(self, action: Action) -> str | None:
        """The digest for the record alone: a missing key must not cost the row."""
        try:
            return self.digest(action)
        except Exception:
            return None

    def close(self) -> None:
        """Close the store, if it was opened; idempotent."""
        if self._store.made:
            self._chores.finish(self._store())
            self._store().close()

    async def aclose(self) -> None:
        """`close` in a worker thread."""
        await _off_loop(self.close)


async def _off_loop(call: Callable[..., T], *args: Any) -> T:
    # Imported on use: sync applications never need it.
    from supervisor_guards.embedded.threads import off_loop

    return await off_loop(call, *args)
