"""What happens with a decision besides its record: log lines a person can act on, and hooks."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from supervisor_guards._cases import OpenCases
from supervisor_guards._model import Action, Decision, Entry, Outcome, ReviewState, Verdict

logger = logging.getLogger("supervisor_guards")

EventKind = Literal["decision", "review", "resolution"]
_LINE_LIMIT = 200
_INTERVAL = 1.0
_KEYS_LIMIT = 1_000


class Event(msgspec.Struct, frozen=True):
    """One decision, one review that now waits, or the end of such a review.

    `outcome` is what the caller got, `would_have` what enforce would have answered: of a held call both say
    `review`, in its resolution too. `status` of a decision or review is `evaluated`, `unavailable` (no verdict
    could be had) or `unknown` (shadow could not judge); of a resolution it is how the review ended: `approved`,
    `rejected`, `expired`, `abandoned`, `used` (approved, and run already) or `executed`. No event holds the payload.
    """

    kind: EventKind
    action_id: str
    action_type: str
    mode: str
    outcome: str
    would_have: str | None
    reasons: tuple[str, ...]
    rule_ids: tuple[str, ...]
    route: str | None = None
    subject: str | None = None
    status: str = "evaluated"
    approver: str | None = None
    """Who decided; in a resolution, and None where nobody did."""
    notes: str | None = None
    """What the reviewer wrote; in a resolution."""


class Hook(Protocol):
    """Called on the background thread with every event. What it raises is logged and counted, no more."""

    def __call__(self, event: Event) -> None:
        """Handle `event`."""


def shown(value: object, limit: int = _LINE_LIMIT) -> str:
    """`value` fit for a log line: control and non-ASCII characters escaped, bounded."""
    text = value if isinstance(value, str) else ",".join(value) if isinstance(value, tuple) else str(value)
    escaped = text[:limit].encode("unicode_escape").decode("ascii")
    return escaped[:limit] + ("..." if len(text) > limit or len(escaped) > limit else "")


class Announcer:
    """Logs decisions and calls hooks; keeps count of what hooks raised.

    `expires_seconds` is how long a review is open.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, expires_seconds: float = 86_400.0) -> None:
        self._hooks: list[Hook] = []
        self._clock = clock
        self._cases = OpenCases(expires_seconds, clock)
        self._last: dict[tuple[str, tuple[str, ...]], tuple[float, int]] = {}
        self.hook_errors = 0

    @property
    def lookup_errors(self) -> int:
        """How often a review could not be looked up."""
        return self._cases.errors

    def reset(self) -> None:
        """Count from zero and follow no review: for a forked child. The hooks stay."""
        self._last.clear()
        self._cases.reset()
        self.hook_errors = 0

    def add_hooks(self, hooks: Sequence[Hook]) -> None:
        """Call `hooks`, in this order and after earlier ones, with every event from now on.

        Raises `TypeError` for what can't be called, or is async; then none is added.
        """
        for hook in hooks:
            _check(hook)
        self._hooks += hooks

    def observed(self, entry: Entry) -> None:
        """Announce a recorded decision; on the background thread."""
        verdict = entry.verdict
        if verdict is None:
            return
        action = entry.action
        if not action.enforced and verdict.outcome is not Outcome.ALLOW and entry.status == "evaluated":
            self._would_have_blocked(action, verdict)
        if not self._hooks:
            return
        self.tell(event_of(entry, verdict, "decision"))
        if action.enforced and verdict.outcome is Outcome.REVIEW and not action.proceeds and action.approval is None:
            review = event_of(entry, verdict, "review")
            if self._cases.opened(review, action.time):  # a call that found its case open is no news
                self.tell(review)

    def look(self, review: Callable[[str], ReviewState]) -> None:
        """Tell hooks of reviews that have ended; often called on the background thread, raises nothing.

        `review` says how a review stands.
        """
        for event in self._cases.ended(review):
            self.tell(event)

    def tell(self, event: Event) -> None:
        """Call every hook with `event`. One that means to end the program ends neither this thread nor the others."""
        for hook in list(self._hooks):
            try:
                hook(event)
            except KeyboardInterrupt:
                raise
            except BaseException:
                self.hook_errors += 1
                if self.hook_errors == 1:
                    logger.exception("hook %s raised; further errors are only counted", shown(_name(hook)))

    def refused(self, action: Action, decision: Decision) -> None:
        """Log an enforced refusal, or an action that ran without a verdict; on the caller's thread."""
        if decision.error is not None:
            line = "blocked: action=%s outcome=%s rules=%s reasons=%s mode=%s route=%s id=%s; the call did not run. %s"
        else:
            line = "not judged: action=%s outcome=%s rules=%s reasons=%s mode=%s route=%s id=%s; the call ran. %s"
        logger.warning(
            line, *_fields(action, decision.outcome.value, decision), _advice(decision), extra=_extra(action)
        )

    def _would_have_blocked(self, action: Action, verdict: Verdict) -> None:
        key = (action.action_type, verdict.rule_ids or verdict.reasons)
        now = self._clock()
        last, held = self._last.get(key, (now - _INTERVAL, 0))
        if now - last < _INTERVAL:
            self._last[key] = (last, held + 1)
            return
        if len(self._last) >= _KEYS_LIMIT:
            self._last.clear()
        self._last[key] = (now, 0)
        logger.warning(
            "would have blocked: action=%s outcome=%s rules=%s reasons=%s mode=%s route=%s id=%s%s; the call ran. "
            "See it: supervisor-guards decisions",
            *_fields(action, verdict.outcome.value, verdict),
            f" (+{held} alike since the last line)" if held else "",
            extra=_extra(action),
        )


def event_of(entry: Entry, verdict: Verdict, kind: EventKind) -> Event:
    """The event of a decided entry."""
    action = entry.action
    return Event(
        kind=kind,
        action_id=verdict.action_id or action.action_id,
        action_type=action.action_type,
        mode=action.mode,
        outcome=entry.outcome.value,
        would_have=verdict.outcome.value,
        reasons=verdict.reasons,
        rule_ids=verdict.rule_ids,
        route=action.route,
        subject=action.subject,
        status=entry.status,
    )


def _fields(action: Action, outcome: str, judged: Verdict | Decision) -> tuple[str, ...]:
    rules = judged.rule_ids
    return (
        shown(action.action_type),
        outcome,
        shown(rules) or "-",
        shown(judged.reasons) or "-",
        action.mode,
        shown(action.route or "-"),
        shown(judged.action_id or action.action_id),
    )


def _advice(decision: Decision) -> str:
    if decision.status == "unavailable":
        return "The supervisor gave no verdict: supervisor-guards doctor"
    if decision.outcome is Outcome.REVIEW:
        return "A person decides: supervisor-guards reviews list"
    return "See it: supervisor-guards decisions"


def _extra(action: Action) -> dict[str, object]:
    return {"supervisor_guards": {"action_type": action.action_type, "mode": action.mode, "route": action.route}}


def _name(hook: object) -> str:
    return getattr(hook, "__qualname__", type(hook).__qualname__)


def _check(hook: object) -> None:
    if not callable(hook):
        raise TypeError(f"hook {hook!r} can't be called: pass a function that takes one event")
    for function in (hook, type(hook).__call__):
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"hook {_name(hook)} is async, and hooks are called on a background thread, where no event loop "
                "runs. Pass a plain function; to act in your loop, let it call "
                "loop.call_soon_threadsafe(queue.put_nowait, event)"
            )
