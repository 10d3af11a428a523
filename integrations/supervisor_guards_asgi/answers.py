"""Refusals as ASGI messages, and what is learned from an application's own answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from supervisor_guards.errors import GuardError
from supervisor_guards.web import Refusal, RequestFacts
from supervisor_guards_asgi.facts import header_values

Result = Literal["returned", "raised"]
_DENIAL = "websocket.http.response"
_POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1


class Answers:
    """How refusals are answered: `review_url` is where the status resource is mounted, None where it isn't."""

    def __init__(self, review_url: str | None = None) -> None:
        self._review_url = review_url.rstrip("/") if review_url is not None else None

    def refusal(
        self, error: GuardError, scope: Mapping[str, Any], action: str | None = None, facts: RequestFacts | None = None
    ) -> Refusal:
        """The answer for `error`."""
        action_id = getattr(error, "action_id", None)
        url = f"{self._review_url}/{action_id}" if self._review_url is not None and action_id else None
        accept = ", ".join(header_values(scope, b"accept"))
        return Refusal.of(error, action=action, review_url=url, facts=facts, accept=accept)


class Answering:
    """A refusal as an ASGI application, for http and for a websocket that is not accepted yet."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            if _DENIAL not in (scope.get("extensions") or {}):
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
                return
            prefix = _DENIAL
        else:
            prefix = "http.response"
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.refusal.headers]
        body = b"" if scope.get("method", "").upper() == "HEAD" else self.refusal.body
        await send({"type": f"{prefix}.start", "status": self.refusal.status, "headers": headers})
        await send({"type": f"{prefix}.body", "body": body, "more_body": False})


class Outcome:
    """The application's `send`: messages pass unchanged, and the results of enforced actions are noted in time.

    The result is known with the last part of the answer; tasks that run in the background come after it.
    """

    def __init__(self, send: Send, entries: Sequence[Any] = ()) -> None:
        self._send = send
        self.entries = entries
        self.served = False
        """The application was called."""
        self.started = False
        self.status: int | None = None
        self.result: Result | None = None

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.started = True
            self.status = message["status"]
        elif kind in ("websocket.accept", "websocket.close"):
            self.started = True
        await self._send(message)
        if kind == "http.response.pathsend" or (kind == "http.response.body" and not message.get("more_body", False)):
            self.settle("raised" if self.status is not None and self.status >= 500 else "returned")

    def settle(self, result: Result) -> None:
        """Note how the action ended, once."""
        if self.result is None:
            self.result = result
            for entry in self.entries:
                entry.settle(result)


class Refused(HTTPException):
    """A refusal where only raising stops the endpoint: in a dependency, or before a generator's response.

    Every application answers it with the refusal's status, headers, and the problem under `detail`; with
    `refusal_handler` registered, with the problem itself.
    """

    def __init__(self, refusal: Refusal) -> None:
        problem = refusal.body.decode()
        headers = {name: value for name, value in refusal.headers if not name.lower().startswith("content-")}
        with contextlib.suppress(ValueError):
            problem = json.loads(problem)
        super().__init__(refusal.status, detail=problem, headers=headers)
        self.refusal = refusal


async def refusal_handler(request: Request, error: Exception) -> Response:
    """For `app.add_exception_handler(Refused, refusal_handler)`: answers as everywhere else."""
    if not isinstance(error, Refused):
        raise error
    return Response(error.refusal.body, error.refusal.status, dict(error.refusal.headers))


def handles(scope: Mapping[str, Any], error: GuardError) -> bool:
    """Whether the application has an exception handler of its own for `error`."""
    handlers: Any = scope.get("starlette.exception_handlers")
    return handlers is not None and any(
        kind in handlers[0] for kind in type(error).__mro__ if issubclass(kind, GuardError)
    )
