"""What a question to the engine is made of, and what came of it."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import msgspec

from supervisor_guards import Guard
from supervisor_guards.errors import GuardError, SupervisorReviewPending, SupervisorUnavailable
from supervisor_guards.web import Body, Entry, RequestFacts, RouteRule, enforces, parse_body
from supervisor_guards_asgi.bodies import body_of
from supervisor_guards_asgi.facts import headers_of
from supervisor_guards_asgi.routing import Resolution

logger = logging.getLogger("supervisor_guards")


class Ruling(msgspec.Struct, frozen=True):
    """What became of a request: `error` refuses it, `gone` says that nobody waits for an answer."""

    error: GuardError | None = None
    action: str | None = None
    facts: RequestFacts | None = None
    gone: bool = False

    @property
    def allowed(self) -> bool:
        return self.error is None and not self.gone


class Asked(msgspec.Struct):
    """One rule on its way through the engine."""

    rule: RouteRule
    facts: RequestFacts
    source: Callable[[], Any]
    entry: Entry | None = None

    @property
    def case(self) -> str:
        """The review's action id, where one is pending."""
        return self.error.action_id if isinstance(self.error, SupervisorReviewPending) else ""

    @property
    def error(self) -> GuardError | None:
        """What refuses, of the last answer."""
        decision = self.entry.decision if self.entry is not None else None
        return decision.error if decision is not None else None  # type: ignore[return-value]


class Given(msgspec.Struct, frozen=True):
    """What a guard at an endpoint has already: the body as it was read, and the payload of the call's arguments."""

    body: Body
    source: Callable[[], Any] | None = None


def own_scope(scope: MutableMapping[str, Any], resolution: Resolution) -> dict[str, Any]:
    """A scope for a payload callable: with the parameters that the endpoint will get, and shared with nobody."""
    return {**scope, "path_params": dict(resolution.path)}


def enforced(guard: Guard, rules: Sequence[RouteRule]) -> tuple[list[RouteRule], list[RouteRule]]:
    """The rules that may refuse, and those that only observe."""
    may = [rule for rule in rules if enforces(guard, rule)]
    return may, [rule for rule in rules if rule not in may]


def at_once(guard: Guard, rule: RouteRule) -> RouteRule:
    """`rule`, with an answer at once instead of a wait for a review."""
    if blocks(guard, rule):
        rule = copy.copy(rule)
        object.__setattr__(rule, "on_review", "fail_closed")
    return rule


def blocks(guard: Guard, rule: RouteRule) -> bool:
    terms = guard.config.terms(rule.action, on_review=rule.on_review, mode=rule.mode, in_request=True)
    return terms.on_review == "block"


async def body_for(rule: RouteRule, raw: bytes | None, complete: bool, scope: MutableMapping[str, Any]) -> Body:
    if scope["type"] != "http":
        return Body("absent")
    headers = headers_of(scope)
    if rule.reads_body:
        return await body_of(raw, complete, headers, rule.max_body_bytes, scope)
    unread = parse_body(None, next((value for name, value in headers if name == "content-type"), ""))
    length = next((value for name, value in headers if name == "content-length"), "")
    return msgspec.structs.replace(unread, size=int(length)) if length.isdecimal() else unread


def raising(error: Exception) -> Callable[[], Any]:
    def source() -> Any:
        raise error

    return source


def no_guard(error: Exception) -> SupervisorUnavailable:
    """What refuses where there is no guard to ask; the cause is logged."""
    logger.error("there is no guard to ask, so a guarded route was refused", exc_info=error)
    return SupervisorUnavailable(f"there is no guard to ask: {error}")


def broken(error: Exception, action: str) -> Ruling:
    logger.error("a request could not be decided on, so it was refused", exc_info=error)
    return Ruling(SupervisorUnavailable(f"no decision could be made on {action!r}: {type(error).__name__}"), action)
