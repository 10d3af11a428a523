"""From a matched request to a ruling: facts and payload of each rule go to the engine, its words come back."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from supervisor_guards import Guard
from supervisor_guards.errors import GuardError
from supervisor_guards.web import (
    UNKNOWN,
    Entry,
    RouteRule,
    Ruling,
    UserResolver,
    admit,
    at_once,
    error_of,
    no_decision,
    payload_source,
    raising,
)
from supervisor_guards_flask import users
from supervisor_guards_flask.bodies import read_body, seen_body
from supervisor_guards_flask.facts import approvals_of, facts_of
from supervisor_guards_flask.visits import Visit

logger = logging.getLogger("supervisor_guards")

Source = Callable[[], Any]
_lost = itertools.count(1)


def rule_on(
    guard: Guard,
    rules: Sequence[RouteRule],
    request: Any,
    visit: Visit,
    path: Mapping[str, Any],
    resolver: UserResolver | None,
) -> Ruling:
    """Judge the request by every rule; the first refusal is the answer. `path` has the view's parameters.

    What Flask itself raises about the body goes on to Flask.
    """
    bodies = [read_body(request, rule, visit.watch) for rule in rules]
    rule, entries = rules[0], list[Entry]()
    try:
        ids = approvals_of(request)
        fault = _sender(request, visit, resolver)
        for rule, body in zip(rules, bodies, strict=True):
            facts = facts_of(request, path, body, visit.sender or UNKNOWN)
            source = payload_source(rule, facts, request) if fault is None else raising(fault)
            entry = admit(guard, at_once(guard, rule), facts, source, approval=ids)
            visit.add(entry)
            error = error_of(entry)
            if error is not None:
                return _refused(Ruling(error, rule.action, facts), entries)
            entries.append(entry)
    except GuardError as error:
        return _refused(Ruling(error, rule.action), entries)
    except Exception as error:
        return _refused(Ruling(no_decision(error, rule.action), rule.action), entries)
    return Ruling(entries=tuple(entries))


def observe(request: Any, visit: Visit, resolver: UserResolver | None) -> None:
    """Hand the engine what shadow rules saw. Raises nothing; what fails in us is counted."""
    observing, visit.observing = visit.observing, []
    try:
        fault = _sender(request, visit, resolver)
        for guard, rule, path in observing:
            facts = facts_of(request, path, seen_body(request, rule, visit.watch), visit.sender or UNKNOWN)
            source = payload_source(rule, facts, request) if fault is None else raising(fault)
            entry = admit(guard, rule, facts, source)
            visit.add(entry)
            visit.passed.append(entry)
    except Exception:
        if next(_lost) == 1:
            logger.error("a shadow observation failed; more are not told", exc_info=True)


def _refused(ruling: Ruling, entries: Sequence[Entry]) -> Ruling:
    """`ruling`; what other rules let pass doesn't run either."""
    for entry in entries:
        entry.settle("not-run")
    return ruling


def _sender(request: Any, visit: Visit, resolver: UserResolver | None) -> Exception | None:
    """Find out who sent the request, once. The resolver's error where it failed: the request can't be judged then."""
    if visit.sender is not None:
        return None
    try:
        visit.sender = users.resolve(request, resolver)
    except Exception as error:
        logger.error("the user resolver failed, so the request can't be judged", exc_info=error)
        return error
    return None
