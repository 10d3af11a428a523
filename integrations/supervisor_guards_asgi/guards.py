"""`RouteGuard`: the guard of one route, or of everything mounted at one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from supervisor_guards import Decision, Guard
from supervisor_guards.web import STATE_KEY, RequestState, enforced, get_state, no_guard, place_rule
from supervisor_guards_asgi.answers import Answering, Answers, Outcome
from supervisor_guards_asgi.bodies import Prefix, Watch
from supervisor_guards_asgi.evaluation import Gate
from supervisor_guards_asgi.facts import UserResolver, method_of, starlette_user
from supervisor_guards_asgi.holding import HOLD_SECONDS, MAX_HOLDS, Holds
from supervisor_guards_asgi.routing import Resolution, has_handler, resolve


class RouteGuard:
    """ASGI middleware for one place: `Route(..., middleware=[Middleware(RouteGuard, action="refund")])`.

    On a `Mount` it asks before every endpoint inside, and not where none will run. The other arguments are those
    of `RouteRule` and `SupervisorMiddleware`. A rule of the same action leaves the asking to it. Raises
    `ConfigurationError`.
    """

    def __init__(
        self,
        app: ASGIApp,
        action: str,
        *,
        payload: Sequence[str] | Callable[[Any], Any] | None = None,
        methods: Iterable[str] | None = None,
        mode: str | None = None,
        on_review: str | None = None,
        body: str = "auto",
        max_body_bytes: int | None = None,
        guard: Guard | None = None,
        user: UserResolver = starlette_user,
        review_url: str | None = None,
        hold_seconds: float = HOLD_SECONDS,
        max_holds: int = MAX_HOLDS,
    ) -> None:
        self.app = app
        self.rule = place_rule(
            action,
            payload=payload,
            methods=methods,
            mode=mode,
            on_review=on_review,
            body=body,
            max_body_bytes=max_body_bytes,
        )
        self._gate = Gate(guard, user, Holds(hold_seconds, max_holds))
        self._answers = Answers(review_url)

    def guarded_action(self, method: str | None) -> str | None:
        """The action asked about when `method` is called (None: by any method)."""
        return self.rule.action if method is None or self.rule.covers(method) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not self._will_run(scope):
            await self.app(scope, receive, send)
            return
        outcome = Outcome(send)
        resolution = place_of(scope)
        state = state_of(scope)
        rules = [self.rule]
        try:
            guard = await self._gate.guard()
            may_refuse = bool(enforced(guard, rules)[0])
        except Exception as error:
            if self._gate.may_refuse(rules):
                refusal = self._answers.refusal(no_guard(error), scope, self.rule.action)
                await Answering(refusal)(scope, receive, send)
                return
            await self.app(scope, receive, send)
            return
        if may_refuse:
            await self._enforced(guard, scope, receive, outcome, resolution, state)
            return
        watch = Watch(receive, self.rule.max_body_bytes)
        seen_by_us = dict(scope)
        try:
            await self._run(scope, watch, outcome)
        finally:
            await self._gate.observe(guard, rules, seen_by_us, watch, resolution, state, outcome.result or "returned")

    async def _enforced(
        self,
        guard: Guard,
        scope: Scope,
        receive: Receive,
        outcome: Outcome,
        resolution: Resolution,
        state: RequestState,
    ) -> None:
        prefix = Prefix(receive)
        known = len(state.entries)
        ruling = await self._gate.rule_on(guard, [self.rule], scope, prefix, resolution, state)
        if ruling.error is not None:
            refusal = self._answers.refusal(ruling.error, scope, self.rule.action, ruling.facts)
            await Answering(refusal)(scope, prefix, outcome)
        elif not ruling.gone:
            outcome.entries = state.entries[known:]
            await self._run(scope, prefix, outcome)

    async def _run(self, scope: Scope, receive: Receive, outcome: Outcome) -> None:
        try:
            await self.app(scope, receive, outcome)
        except BaseException:
            outcome.settle("raised")
            raise
        outcome.settle("returned")

    def _will_run(self, scope: Scope) -> bool:
        """Whether an endpoint runs at all: not for a 404, 405 or redirect of what is mounted inside."""
        if not self.rule.covers(method_of(scope)) and not (scope["type"] == "websocket" and self.rule.covers("GET")):
            return False
        if scope["type"] == "http" and not has_handler(scope.get("endpoint"), scope["method"]):
            return False
        return resolve(self.app, scope).outcome != "nothing"


def place_of(scope: MutableMapping[str, Any]) -> Resolution:
    """Where in the whole application a request is: asked from the outermost router, or what the scope says."""
    router = scope.get("router")
    found = Resolution("unknown", reason="no router")
    if router is not None:
        outer = {**scope, "root_path": scope.get("app_root_path", scope.get("root_path", "")), "path_params": {}}
        found = resolve(router, outer)
    if found.outcome == "matched":
        return found
    route = scope.get("route")
    return Resolution(
        "matched",
        template=getattr(route, "path", None),
        endpoint=scope.get("endpoint"),
        route=route,
        path=scope.get("path_params", {}),
    )


def state_of(scope: MutableMapping[str, Any]) -> RequestState:
    """The request's state, made here where no middleware of ours is around."""
    state = get_state(scope)
    if state is None:
        state = scope[STATE_KEY] = RequestState()
    return state


def get_decision(request: HTTPConnection, action: str | None = None) -> Decision | None:
    """The newest decision on the request, on `action` where that is given; None where there is none (yet).

    What is only observed is decided on after the application has answered.
    """
    state = get_state(request.scope)
    return None if state is None else state.decision(action)
