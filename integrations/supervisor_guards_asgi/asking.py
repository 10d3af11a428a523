"""What a question to the engine is made of, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec

from supervisor_guards.errors import GuardError, SupervisorReviewPending
from supervisor_guards.web import Body, Entry, RequestFacts, RouteRule, error_of, no_decision, parse_body
from supervisor_guards_asgi.bodies import body_of
from supervisor_guards_asgi.facts import headers_of
from supervisor_guards_asgi.routing import Resolution


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
        return None if self.entry is None else error_of(self.entry)


class Given(msgspec.Struct, frozen=True):
    """What a guard at an endpoint has already: the body as it was read, and the payload of the call's arguments."""

    body: Body
    source: Callable[[], Any] | None = None


def own_scope(scope: MutableMapping[str, Any], resolution: Resolution) -> dict[str, Any]:
    """A scope for a payload callable: with the parameters that the endpoint will get, and shared with nobody."""
    return {**scope, "path_params": dict(resolution.path)}


async def body_for(rule: RouteRule, raw: bytes | None, complete: bool, scope: MutableMapping[str, Any]) -> Body:
    if scope["type"] != "http":
        return Body("absent")
    headers = headers_of(scope)
    if rule.reads_body:
        return await body_of(raw, complete, headers, rule.max_body_bytes, scope)
    unread = parse_body(None, next((value for name, value in headers if name == "content-type"), ""))
    length = next((value for name, value in headers if name == "content-length"), "")
    return msgspec.structs.replace(unread, size=int(length)) if length.isdecimal() else unread


def broken(error: Exception, action: str) -> Ruling:
    return Ruling(no_decision(error, action), action)
