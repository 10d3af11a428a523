"""`SupervisorMiddleware`: asks before the endpoint of a ruled route runs, whatever ASGI application holds it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supervisor_guards import Guard
from supervisor_guards.errors import (
    ConfigurationError,
    GuardError,
    PayloadUnusable,
    SupervisorBlocked,
    SupervisorReviewPending,
    SupervisorUnavailable,
)
from supervisor_guards.web import (
    SAFE_METHODS,
    STATE_KEY,
    RequestState,
    RouteRule,
    RouteRules,
    Tripwire,
    enforced,
    no_guard,
    serving,
)
from supervisor_guards_asgi.answers import Answering, Answers, Outcome
from supervisor_guards_asgi.audit import rules_of_endpoint
from supervisor_guards_asgi.bodies import Prefix, Watch
from supervisor_guards_asgi.evaluation import Gate
from supervisor_guards_asgi.facts import WEBSOCKET, UserResolver, label, method_of, starlette_user
from supervisor_guards_asgi.holding import HOLD_SECONDS, MAX_HOLDS, Holds
from supervisor_guards_asgi.ownguards import own_actions
from supervisor_guards_asgi.routing import Entered, Resolution, enter, resolve
from supervisor_guards_asgi.startup import Startup
from supervisor_guards_asgi.within import Within

logger = logging.getLogger("supervisor_guards")

Unresolved = Literal["deny", "warn"]


class SupervisorMiddleware:
    """Pure ASGI middleware that maps routes to action types: `app.add_middleware(SupervisorMiddleware, rules=[...])`.

    `rules` are `RouteRule`s, or mappings as settings write them. `guard` answers; by default the one that
    `configure` made, or the environment. `user` gets the connection and returns a `supervisor_guards.web.User`,
    or None for anonymous; it may be a coroutine function, and reads Starlette's authentication by default.
    `unresolved` says what becomes, in enforce, of a request whose endpoint can't be told in advance and whose
    method isn't safe. `review_url` is where `review_status` is mounted. A held review (`on_review="block"`) waits
    at most `hold_seconds`, and at most `max_holds` do at once. `strict` stops the start where a guard can't take
    effect.

    Raises `ConfigurationError` with every fault of the rules. Place it inside CORS, sessions, authentication and
    decompression, and outside of whatever changes neither path nor body.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        guard: Guard | None = None,
        rules: Iterable[RouteRule | Mapping[str, Any]] = (),
        user: UserResolver = starlette_user,
        unresolved: Unresolved = "deny",
        review_url: str | None = None,
        hold_seconds: float = HOLD_SECONDS,
        max_holds: int = MAX_HOLDS,
        strict: bool = False,
    ) -> None:
        if unresolved not in ("deny", "warn"):
            raise ConfigurationError(f"unresolved={unresolved!r}: choose one of deny, warn")
        self.app = app
        self.rules = RouteRules(rules)
        self.tripwire = Tripwire()
        self.unresolved_total = 0
        self._unresolved = unresolved
        self._user = user
        self.own_guard = guard
        self._gate = Gate(guard, user, Holds(hold_seconds, max_holds))
        self._answers = Answers(review_url)
        self._startup = Startup(app, self.rules, self._gate, guard, strict)
        self._told: set[str] = set()
        self._entered: Entered | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            await self._request(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._startup(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = RequestState()
        if scope["type"] == "http" and not self.rules.concern(scope["method"]):
            await self._unconcerned(scope, receive, send, state)
            return
        inner = self._inner(scope)
        resolution = resolve(inner, scope, self._entered if inner is self.app else None)
        rules = self._rules_of(scope, resolution)
        if not rules and resolution.opaque and inner is self.app and self._blind():
            resolution = Resolution("unknown", reason="the application shows no router")
        before = {key: scope.get(key) for key in ("endpoint", "path", "method", "root_path")}
        outcome = Outcome(send)
        if resolution.outcome == "unknown" and await self._unresolved_refused(scope, resolution, outcome):
            return
        if rules:
            await self._guarded(rules, scope, receive, outcome, resolution, state)
        else:
            await self._serve(scope, receive, outcome, state)
        if outcome.served and (outcome.status is None or outcome.status < 400):
            self._check(scope, inner, resolution, before, state)

    async def _unconcerned(self, scope: Scope, receive: Receive, send: Send, state: RequestState) -> None:
        """No rule is meant for the method, whatever the route. A layer inside may still make another of it."""
        before = {key: scope.get(key) for key in ("endpoint", "path", "method", "root_path")}
        await self._serve(scope, receive, Outcome(send), state)
        if scope["method"] != before["method"]:
            self._check(scope, self._inner(scope), Resolution("nothing"), before, state)

    async def _guarded(
        self,
        rules: tuple[RouteRule, ...],
        scope: Scope,
        receive: Receive,
        outcome: Outcome,
        resolution: Resolution,
        state: RequestState,
    ) -> None:
        delegated = self._own_actions(resolution, scope)
        state.guarded = tuple(rule.action for rule in rules)
        state.delegated = frozenset(state.guarded) & delegated
        own = [rule for rule in rules if rule.action not in state.delegated]
        try:
            guard = await self._gate.guard()
            may_refuse, observing = enforced(guard, own)
        except Exception as error:
            if self._gate.may_refuse(own):
                await self._refuse(no_guard(error), scope, outcome, own[0].action)
                return
            await self._serve(scope, receive, outcome, state)
            return
        if may_refuse:
            prefix = Prefix(receive)
            ruling = await self._gate.rule_on(guard, may_refuse, scope, prefix, resolution, state)
            if not ruling.allowed:
                if ruling.error is not None:
                    refusal = self._answers.refusal(ruling.error, scope, ruling.action, ruling.facts)
                    await Answering(refusal)(scope, receive, outcome)
                return
            receive = prefix
            outcome.entries = state.entries[:]
        if not observing:
            await self._serve(scope, receive, outcome, state)
            return
        watch = Watch(receive, max(rule.max_body_bytes for rule in observing))
        seen_by_us = dict(scope)
        result: Literal["returned", "raised"] = "raised"
        try:
            await self._serve(scope, watch, outcome, state)
            result = outcome.result or "returned"
        finally:
            await self._gate.observe(guard, observing, seen_by_us, watch, resolution, state, result)

    async def _serve(self, scope: Scope, receive: Receive, outcome: Outcome, state: RequestState) -> None:
        """Run the application. What a plain guard inside refuses becomes the same answer as a rule's refusal."""
        scope[STATE_KEY] = state
        within: Any = Within(scope, self.app, self._user)
        outcome.served = True
        try:
            with serving(within, within.approvals()):
                await self.app(scope, receive, outcome)
        except (SupervisorBlocked, SupervisorReviewPending, SupervisorUnavailable) as error:
            outcome.settle("raised")
            if outcome.started:
                raise
            await self._refuse(error, scope, outcome)
        except BaseException:
            outcome.settle("raised")
            raise
        else:
            outcome.settle("returned")

    async def _refuse(self, error: GuardError, scope: Scope, outcome: Outcome, action: str | None = None) -> None:
        await Answering(self._answers.refusal(error, scope, action))(scope, _never, outcome)

    async def _unresolved_refused(self, scope: Scope, resolution: Resolution, outcome: Outcome) -> bool:
        self.unresolved_total += 1
        if resolution.reason not in self._told and len(self._told) < 100:
            self._told.add(resolution.reason)
            logger.warning(
                "a request's endpoint could not be told in advance (%s); unresolved=%s",
                resolution.reason,
                self._unresolved,
                extra={"unresolved_total": self.unresolved_total},
            )
        if self._unresolved == "warn" or method_of(scope) in SAFE_METHODS:
            return False
        try:
            guard = await self._gate.guard()
            enforces = bool(enforced(guard, list(self.rules))[0])
        except Exception as error:
            enforces = self._gate.may_refuse(list(self.rules))
            if enforces:
                await self._refuse(no_guard(error), scope, outcome)
            return enforces
        if enforces:
            await self._refuse(PayloadUnusable("deny", ["unresolved-route"]), scope, outcome)
        return enforces

    def _rules_of(self, scope: Scope, resolution: Resolution) -> tuple[RouteRule, ...]:
        if resolution.outcome != "matched":
            return ()
        return rules_for(self.rules, method_of(scope), resolution.template, resolution.names, resolution.endpoint)

    def _inner(self, scope: Scope) -> Any:
        """The application to ask. Where a layer hides it, the one whose own stack holds this middleware."""
        if self._entered is None:
            self._entered = _entered(self.app)
        if self._entered is None or self._entered.router is not None:
            return self.app
        app = scope.get("app")
        if app is None or self not in enter(_stack(app)).layers:
            return self.app
        return getattr(app, "router", self.app)

    def _blind(self) -> bool:
        """Whether the wrapped application shows no router: where its endpoints are can't be told then."""
        return self._entered is not None and self._entered.router is None

    def _own_actions(self, resolution: Resolution, scope: Scope) -> frozenset[str]:
        try:
            return own_actions(resolution, method_of(scope))
        except Exception:  # an endpoint whose attributes can't be looked at: then both ask
            logger.warning("the guards of an endpoint could not be looked for", exc_info=True)
            return frozenset()

    def _check(
        self, scope: Scope, inner: Any, resolution: Resolution, before: Mapping[str, Any], state: RequestState
    ) -> None:
        """The tripwire: did an endpoint run that a rule is meant for, without a decision?"""
        ran = scope.get("endpoint")
        try:
            if scope["path"] != before["path"] or scope.get("method") != before["method"]:
                # A layer inside of this one rewrote the request: what it has become is what ran.
                resolution = resolve(inner, {**scope, "root_path": before["root_path"] or "", "path_params": {}})
                guarded = self._rules_of(scope, resolution)
                self.tripwire.check(state, tuple(rule.action for rule in guarded), label(scope, resolution.template))
            elif ran is before["endpoint"] or ran is resolution.endpoint:
                if state.guarded:
                    self.tripwire.check(state, state.guarded, label(scope, resolution.template))
            elif not resolution.opaque:
                guarded = rules_of_endpoint(self.rules, inner, ran, method_of(scope))
                self.tripwire.check(state, tuple(rule.action for rule in guarded), label(scope, None))
        except Exception:
            logger.error("what ran could not be compared with what was expected", exc_info=True)


def rules_for(
    rules: RouteRules, method: str, template: str | None, names: tuple[str, ...], endpoint: Any
) -> tuple[RouteRule, ...]:
    """The rules of a route. A websocket's handshake is a GET, so those for GET hold for it too."""
    found = rules.for_route(method, template, names, endpoint)
    if method == WEBSOCKET:
        had = {rule.action for rule in found}
        found += tuple(one for one in rules.for_route("GET", template, names, endpoint) if one.action not in had)
    return found


def _entered(app: Any) -> Entered | None:
    """Where the wrapped application's router is. The layers around it stay as they were built."""
    try:
        return enter(app)
    except Exception:  # attributes that can't be looked at: matching will say that it can't tell
        return None


def _stack(app: Any) -> Any:
    return getattr(app, "middleware_stack", None)


async def _never() -> Message:
    raise RuntimeError("a refusal reads nothing")
