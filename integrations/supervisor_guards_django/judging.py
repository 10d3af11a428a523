"""From a resolved request to a ruling: facts and payload of each rule go to the engine, its words come back."""

from __future__ import annotations

import copy
import functools
import itertools
import logging
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from supervisor_guards import Guard
from supervisor_guards.errors import GuardError, SupervisorUnavailable
from supervisor_guards.web import (
    APPROVAL_HEADER,
    STATE_KEY,
    Body,
    Entry,
    RequestFacts,
    RequestState,
    RouteRule,
    approvals,
    enforces,
    get_state,
)
from supervisor_guards_django import conf
from supervisor_guards_django.bodies import Watch, read_body, seen_body
from supervisor_guards_django.facts import Place, facts_of
from supervisor_guards_django.steps import Ask, Flow, WhoSent

logger = logging.getLogger("supervisor_guards")

Result = Literal["returned", "raised"]
APPROVAL_KEY = "HTTP_" + APPROVAL_HEADER.upper().replace("-", "_")
"""Under this name `META` has the approvals."""
_lost = itertools.count(1)


class Ruling(msgspec.Struct, frozen=True):
    """What became of a request: `error` refuses it. `entries` are the decisions that let it pass."""

    error: GuardError | None = None
    action: str | None = None
    facts: RequestFacts | None = None
    entries: tuple[Entry, ...] = ()

    def settle(self, result: Result) -> None:
        """Note how the actions ended."""
        for entry in self.entries:
            entry.settle(result)


class Observing(msgspec.Struct, frozen=True):
    """What shadow rules are to see of a request, once its view has answered."""

    guard: Guard
    rules: Sequence[RouteRule]
    place: Place
    watch: Watch | None

    def observe(self, request: Any, state: RequestState) -> Flow[Ruling]:
        """Hand it to the engine."""
        return observe(self.guard, self.rules, request, self.place, state, self.watch)


def enforced(guard: Guard, rules: Sequence[RouteRule]) -> tuple[list[RouteRule], list[RouteRule]]:
    """The rules that may refuse, and those that only observe."""
    may = [rule for rule in rules if enforces(guard, rule)]
    return may, [rule for rule in rules if rule not in may]


def rule_on(
    guard: Guard,
    rules: Sequence[RouteRule],
    request: Any,
    place: Place,
    state: RequestState,
    *,
    body: Body | None = None,
    shown: Any = None,
) -> Flow[Ruling]:
    """Judge the request by every rule; the first refusal is the answer.

    `body` is what the caller has read already, `shown` the request that a payload callable gets instead of Django's.
    What Django itself raises about the body goes on to Django.
    """
    _ = request.GET  # parsed now: what Django refuses about the query is no failure of ours
    bodies = [read_body(request, rule) if body is None else body for rule in rules]
    rule, entries = rules[0], list[Entry]()
    try:
        ids = approvals_of(request)
        user, fault = yield WhoSent(request)
        for rule, content in zip(rules, bodies, strict=True):
            facts = facts_of(request, place, content, user)
            made = None if fault is None else functools.partial(_raise, fault)
            entry = yield Ask(guard, at_once(guard, rule), facts, shown or request, ids, made)
            state.add(entry)
            error = _error(entry)
            if error is not None:
                for earlier in entries:
                    earlier.settle("not-run")
                return Ruling(error, rule.action, facts)
            entries.append(entry)
    except GuardError as error:
        return Ruling(error, rule.action)
    except Exception as error:
        return broken(error, rule.action)
    return Ruling(entries=tuple(entries))


def observe(
    guard: Guard,
    rules: Sequence[RouteRule],
    request: Any,
    place: Place,
    state: RequestState,
    watch: Watch | None,
    *,
    body: Body | None = None,
    shown: Any = None,
) -> Flow[Ruling]:
    """Hand the engine what shadow rules saw. Raises nothing; what fails in us is counted."""
    entries: list[Entry] = []
    try:
        user, fault = yield WhoSent(request, peeking=True)
        made = None if fault is None else functools.partial(_raise, fault)
        for rule in rules:
            facts = facts_of(request, place, seen_body(request, rule, watch) if body is None else body, user)
            entry = yield Ask(guard, rule, facts, shown or request, source=made)
            state.add(entry)
            entries.append(entry)
    except Exception:
        if next(_lost) == 1:
            logger.error("a shadow observation failed; more are not told", exc_info=True)
    return Ruling(entries=tuple(entries))


def approvals_of(request: Any) -> tuple[str, ...]:
    """The approvals that the request brings. Raises `ApprovalInvalid` for a header that is none."""
    value = request.META.get(APPROVAL_KEY)
    return approvals([value]) if value is not None else ()


def state_of(request: Any) -> RequestState:
    """The request's state, made here where no middleware of ours is around."""
    state = get_state(vars(request))
    if state is None:
        state = RequestState()
        setattr(request, STATE_KEY, state)
    return state


def at_once(guard: Guard, rule: RouteRule) -> RouteRule:
    """`rule`, with an answer at once instead of a wait for a review: a worker that waits serves nobody."""
    terms = guard.config.terms(rule.action, on_review=rule.on_review, mode=rule.mode, in_request=True)
    if terms.on_review == "block":
        rule = copy.copy(rule)
        object.__setattr__(rule, "on_review", "fail_closed")
    return rule


def may_be_refused(rules: Sequence[RouteRule]) -> bool:
    """Whether any of `rules` may refuse by the settings: for where there is no guard to say."""
    config = conf.current().config
    try:
        return any(
            config.terms(rule.action, on_review=rule.on_review, mode=rule.mode, in_request=True).mode != "shadow"
            for rule in rules
        )
    except GuardError:
        return True


def no_guard(error: Exception) -> SupervisorUnavailable:
    """What refuses where there is no guard to ask; the cause is logged."""
    logger.error("there is no guard to ask, so a guarded view was refused", exc_info=error)
    return SupervisorUnavailable(f"there is no guard to ask: {error}")


def broken(error: Exception, action: str) -> Ruling:
    """What refuses where we failed ourselves."""
    logger.error("a request could not be decided on, so it was refused", exc_info=error)
    return Ruling(SupervisorUnavailable(f"no decision could be made on {action!r}: {type(error).__name__}"), action)


def _error(entry: Entry) -> GuardError | None:
    return entry.decision.error if entry.decision is not None else None  # type: ignore[return-value]


def _raise(error: Exception) -> Any:
    raise error
