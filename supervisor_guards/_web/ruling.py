"""What became of a request, and the refusals that adapters make themselves where the engine can't be asked."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from supervisor_guards._config import GuardConfig
from supervisor_guards._guard import Guard
from supervisor_guards._model import Entry
from supervisor_guards._web.admission import enforces
from supervisor_guards._web.facts import RequestFacts
from supervisor_guards._web.rules import RouteRule
from supervisor_guards.errors import GuardError, SupervisorUnavailable

logger = logging.getLogger("supervisor_guards")

Result = Literal["returned", "raised"]


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


def enforced(guard: Guard, rules: Sequence[RouteRule]) -> tuple[list[RouteRule], list[RouteRule]]:
    """The rules that may refuse, and those that only observe."""
    may = [rule for rule in rules if enforces(guard, rule)]
    return may, [rule for rule in rules if rule not in may]


def blocks(config: GuardConfig, rule: RouteRule) -> bool:
    """Whether a review of `rule` holds the request until a person decides."""
    return config.terms(rule.action, on_review=rule.on_review, mode=rule.mode, in_request=True).on_review == "block"


def may_refuse(config: GuardConfig, rules: Sequence[RouteRule]) -> bool:
    """Whether any of `rules` may refuse by `config`: for where there is no guard to say. In doubt, yes."""
    return not all(config.surely_shadow(rule.action, rule.on_review, rule.mode) for rule in rules)


def at_once(guard: Guard, rule: RouteRule) -> RouteRule:
    """`rule`, with an answer at once instead of a wait for a review: a worker that waits serves nobody."""
    if blocks(guard.config, rule):
        rule = copy.copy(rule)
        object.__setattr__(rule, "on_review", "fail_closed")
    return rule


def error_of(entry: Entry) -> GuardError | None:
    """What refuses the action of `entry`; None where it may run."""
    return entry.decision.error if entry.decision is not None else None  # type: ignore[return-value]


def raising(error: Exception) -> Callable[[], Any]:
    """A payload source that raises `error` inside the engine: the payload is unusable then."""

    def source() -> Any:
        raise error

    return source


def no_guard(error: Exception) -> SupervisorUnavailable:
    """What refuses where there is no guard to ask; the cause is logged."""
    logger.error("there is no guard to ask, so a guarded route was refused", exc_info=error)
    return SupervisorUnavailable(f"there is no guard to ask: {error}")


def no_decision(error: Exception, action: str) -> SupervisorUnavailable:
    """What refuses where we failed ourselves; the cause is logged."""
    logger.error("a request could not be decided on, so it was refused", exc_info=error)
    return SupervisorUnavailable(f"no decision could be made on {action!r}: {type(error).__name__}")
