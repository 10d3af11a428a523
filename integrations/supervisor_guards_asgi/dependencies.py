"""`requires` for FastAPI's `Depends`, and what a guarded route adds to an OpenAPI document."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import HTTPConnection

from supervisor_guards import Guard
from supervisor_guards.errors import SupervisorUnavailable
from supervisor_guards.web import place_rule
from supervisor_guards_asgi.answers import Answers, Refused, handles
from supervisor_guards_asgi.calls import Caller
from supervisor_guards_asgi.evaluation import Gate
from supervisor_guards_asgi.facts import UserResolver, starlette_user
from supervisor_guards_asgi.holding import HOLD_SECONDS, MAX_HOLDS, Holds


class requires:
    """A guard as a FastAPI dependency: `dependencies=[Depends(requires("refund", payload=["path.order_id"]))]`.

    It runs before the path operation's own arguments are validated, and perhaps before authentication, so its
    payload is the raw request; a request that validation refuses (422) has been asked about all the same. Prefer
    `supervised_route`. A refusal is raised as `Refused`. Raises `ConfigurationError`.
    """

    def __init__(
        self,
        action: str,
        *,
        payload: Sequence[str] | Callable[[Any], Any] | None = None,
        mode: str | None = None,
        on_review: str | None = None,
        max_body_bytes: int | None = None,
        guard: Guard | None = None,
        user: UserResolver = starlette_user,
        review_url: str | None = None,
    ) -> None:
        references = None if callable(payload) else payload
        self.rule = place_rule(
            action, payload=references, mode=mode, on_review=on_review, max_body_bytes=max_body_bytes
        )
        self._payload = payload if callable(payload) else None
        self._caller = Caller(self.rule, Gate(guard, user, Holds(HOLD_SECONDS, MAX_HOLDS)), user)
        self._answers = Answers(review_url)
        # FastAPI can't resolve the names in an object's annotations, only in a function's.
        connection = inspect.Parameter("connection", inspect.Parameter.KEYWORD_ONLY, annotation=HTTPConnection)
        self.__signature__ = inspect.Signature([connection])

    def guarded_action(self, method: str | None) -> str | None:
        """The action asked about, whatever the method."""
        return self.rule.action

    async def __call__(self, connection: HTTPConnection) -> None:
        build = self._payload
        passed = await self._caller.ask(connection, None if build is None else lambda: build(connection))
        if passed.gone:
            raise Refused(self._answers.refusal(SupervisorUnavailable("the client hung up"), connection.scope))
        if passed.error is None:
            if passed.after is not None:
                await passed.after(None)
            return
        if handles(connection.scope, passed.error):
            raise passed.error
        raise Refused(self._answers.refusal(passed.error, connection.scope, self.rule.action, passed.facts))


def guard_responses() -> dict[int | str, dict[str, Any]]:
    """What a guarded route may answer, for `responses=` of a FastAPI path operation."""
    problem = {
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "instance": {"type": "string"},
            "action": {"type": "string"},
            "review_url": {"type": "string"},
        },
        "required": ["type", "title", "status"],
    }
    texts = {
        400: "The request can't be checked: ambiguous, or unreadable.",
        403: "Denied, or a person has to approve it first.",
        409: "The approval has been used already.",
        413: "The request is too large to be checked.",
        415: "The request's content is of a type that can't be checked.",
        503: "The action can't be checked at the moment.",
    }
    return {
        status: {"description": text, "content": {"application/problem+json": {"schema": problem}}}
        for status, text in texts.items()
    }
