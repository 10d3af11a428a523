"""From a resolved request to a ruling: facts and payload of each rule go to the engine, its words come back."""

from __future__ import annotations

import itertools
import logging
from asyncio import CancelledError
from collections.abc import Sequence
from typing import Any

import msgspec

from supervisor_guards import Guard
from supervisor_guards.errors import GuardError
from supervisor_guards.web import (
    APPROVAL_HEADER,
    STATE_KEY,
    Body,
    Entry,
    RequestState,
    RouteRule,
    Ruling,
    Watch,
    approvals,
    at_once,
    error_of,
    get_state,
    may_refuse,
    no_decision,
    raising,
)
from supervisor_guards_django import conf
from supervisor_guards_django.bodies import read_body, seen_body
from supervisor_guards_django.facts import Place, facts_of
from supervisor_guards_django.steps import Ask, Flow, WhoHadSent, WhoSent
from supervisor_guards_django.users import Before

logger = logging.getLogger("supervisor_guards")

APPROVAL_KEY = "HTTP_" + APPROVAL_HEADER.upper().replace("-", "_")
"""Under this name `META` has the approvals."""
_lost = itertools.count(1)


class Observing(msgspec.Struct, frozen=True):
    """What shadow rules are to see of a request, once its view has answered."""

    guard: Guard
    rules: Sequence[RouteRule]
    place: Place
    watch: Watch | None
    before: Before

    def observe(self, request: Any, state: RequestState) -> Flow[Ruling]:
        """Hand it to the engine."""
        return observe(self.guard, self.rules, request, self.place, state, self.watch, before=self.before)


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
            made = None if fault is None else raising(fault)
            entry = yield Ask(guard, at_once(guard, rule), facts, shown or request, ids, made)
            state.add(entry)
            error = error_of(entry)
            if error is not None:
                for earlier in entries:
                    earlier.settle("not-run")
                return Ruling(error, rule.action, facts)
            entries.append(entry)
            if state.gone:  # this is a thread of the request, which hears of its end in no other way
                for one in entries:
                    one.settle("not-run")
                raise CancelledError("the client hung up while its request was judged")
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
    before: Before | None = None,
    body: Body | None = None,
    shown: Any = None,
) -> Flow[Ruling]:
    """Hand the engine what shadow rules saw. Raises nothing; what fails in us is counted."""
    entries: list[Entry] = []
    try:
        user, fault = yield WhoHadSent(request, before)
        made = None if fault is None else raising(fault)
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


def may_be_refused(rules: Sequence[RouteRule]) -> bool:
    """Whether any of `rules` may refuse by the settings: for where there is no guard to say."""
    return may_refuse(conf.current().config, rules)


def broken(error: Exception, action: str) -> Ruling:
    """What refuses where we failed ourselves."""
    return Ruling(no_decision(error, action), action)
