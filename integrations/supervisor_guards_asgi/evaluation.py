"""From a matched request to a ruling: the facts and payload of each rule go to the engine, its words come back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import Request

from supervisor_guards import Guard, GuardConfig, get_guard
from supervisor_guards.errors import GuardError, SupervisorReviewPending
from supervisor_guards.web import (
    UNKNOWN,
    Body,
    Entry,
    RequestState,
    RouteRule,
    User,
    aadmit,
    answers_at_once,
    apayload_source,
    approvals,
    at_once,
    blocks,
    may_refuse,
    raising,
)
from supervisor_guards_asgi.asking import Asked, Given, Ruling, body_for, broken, own_scope
from supervisor_guards_asgi.bodies import Prefix, Watch, replayed
from supervisor_guards_asgi.facts import UserResolver, facts_of, header_values, resolve_user
from supervisor_guards_asgi.holding import Holds, abandon
from supervisor_guards_asgi.routing import Resolution

logger = logging.getLogger("supervisor_guards")

_APPROVAL = b"supervisor-approval"
_WATCH_AFTER = 0.1
"""Seconds an evaluation may take before the client is watched: most are over long before."""
_OBSERVE_SECONDS = 5.0
"""How long the user's own callables may take in shadow, when the answer is out already."""


class Gate:
    """How requests are decided on, for the middleware and for guards of single routes.

    `guard` None means the default guard, made on first use. No state of a request is kept here.
    """

    def __init__(self, guard: Guard | None, user: UserResolver, holds: Holds) -> None:
        self._guard = guard
        self._user = user
        self._holds = holds
        self._warm = False
        self.lost = 0
        """Shadow observations that failed in us."""

    async def guard(self) -> Guard:
        """The guard in use. Raises `ConfigurationError` where the default one can't be made."""
        if self._guard is not None:
            return self._guard
        if not self._warm:  # opening policy and store takes time, once
            await anyio.to_thread.run_sync(get_guard)
            self._warm = True
        return get_guard()

    def may_refuse(self, rules: Sequence[RouteRule]) -> bool:
        """Whether any of `rules` may refuse where there is no guard to say: by what one would be made of."""
        return may_refuse(GuardConfig.load() if self._guard is None else self._guard.config, rules)

    async def rule_on(
        self,
        guard: Guard,
        rules: Sequence[RouteRule],
        scope: MutableMapping[str, Any],
        prefix: Prefix,
        resolution: Resolution,
        state: RequestState,
        given: Given | None = None,
    ) -> Ruling:
        """Ask about every rule before the endpoint runs. What `receive` raises is raised; a fault of ours refuses.

        `given` is what the caller has already; else body and payload are made from the request.
        """
        cap = max((rule.max_body_bytes for rule in rules), default=0)
        if given is None and scope["type"] == "http" and any(rule.reads_body for rule in rules):
            await prefix.read(cap)
            if prefix.gone:
                return Ruling(gone=True)
        try:
            ids = approvals(header_values(scope, _APPROVAL))
            asked = [await self._asked(rule, scope, prefix, resolution, given) for rule in rules]
        except GuardError as error:
            return Ruling(error, rules[0].action)
        except Exception as error:
            return broken(error, rules[0].action)
        gone, ruling = anyio.Event(), Ruling(gone=True)
        if answers_at_once(guard) and not any(blocks(guard.config, one.rule) for one in asked):
            return await self._judged(guard, asked, ids, state, gone)  # over before a client could leave
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, prefix, cap, gone)
            ruling = await self._judged(guard, asked, ids, state, gone)
            tasks.cancel_scope.cancel()
        return ruling

    async def _asked(
        self,
        rule: RouteRule,
        scope: MutableMapping[str, Any],
        prefix: Prefix,
        resolution: Resolution,
        given: Given | None,
    ) -> Asked:
        if given is not None:
            return await self._with_user(rule, scope, resolution, given.body, None, given.source)
        body = await body_for(rule, prefix.raw if rule.reads_body else None, prefix.complete, scope)
        request = None
        if scope["type"] == "http":
            request = Request(own_scope(scope, resolution), prefix.peek(rule.max_body_bytes))
        return await self._with_user(rule, scope, resolution, body, request)

    async def _with_user(
        self,
        rule: RouteRule,
        scope: MutableMapping[str, Any],
        resolution: Resolution,
        body: Body,
        request: Any,
        source: Callable[[], Any] | None = None,
    ) -> Asked:
        user: User = UNKNOWN
        fault: Exception | None = None
        try:
            user = await resolve_user(self._user, scope)
        except Exception as error:
            fault = error
            logger.error("the user resolver failed, so the request can't be judged", exc_info=error)
        facts = facts_of(scope, resolution, body, user)
        if fault is not None:
            source = raising(fault)
        return Asked(rule, facts, source or await apayload_source(rule, facts, request))

    async def _judged(
        self, guard: Guard, asked: Sequence[Asked], ids: Sequence[str], state: RequestState, gone: anyio.Event
    ) -> Ruling:
        current = asked[0]
        try:
            for current in asked:
                await self._ask(guard, current, ids, state)
                if current.error is not None and not isinstance(current.error, SupervisorReviewPending):
                    return _refused(current, asked)
            waiting = [one for one in asked if one.error is not None]
            if waiting and all(blocks(guard.config, one.rule) for one in waiting):
                return await self._held(guard, asked, waiting, state, gone)
            if gone.is_set():
                return await _left(guard, asked)
            return _refused(waiting[0], asked) if waiting else Ruling(facts=asked[0].facts)
        except Exception as error:
            return broken(error, current.rule.action)

    async def _ask(self, guard: Guard, one: Asked, ids: Sequence[str], state: RequestState) -> None:
        # Where a review is to be waited for, the engine would wait without a look at the client.
        one.entry = await aadmit(guard, at_once(guard, one.rule), one.facts, one.source, approval=tuple(ids))
        state.add(one.entry)

    async def _held(
        self,
        guard: Guard,
        asked: Sequence[Asked],
        waiting: Sequence[Asked],
        state: RequestState,
        gone: anyio.Event,
    ) -> Ruling:
        for one in waiting:
            answer = await self._holds.wait(guard, one.case, gone)
            if gone.is_set():
                return await _left(guard, asked)
            if answer is not True:
                return _refused(one, asked, None if answer is False else answer)
        for one in waiting:
            await self._ask(guard, one, (one.case,), state)
            if one.error is not None:
                return _refused(one, asked)
        return await _left(guard, asked) if gone.is_set() else Ruling(facts=asked[0].facts)

    async def observe(
        self,
        guard: Guard,
        rules: Sequence[RouteRule],
        scope: MutableMapping[str, Any],
        watch: Watch,
        resolution: Resolution,
        state: RequestState,
        result: Any,
    ) -> None:
        """Hand what a shadow rule saw to the engine, once the application is done. Raises nothing."""
        for rule in rules:
            entry = await self._observed(guard, rule, state, self._seen(rule, scope, watch, resolution))
            if entry is not None:
                entry.settle(result)

    async def observe_call(
        self,
        guard: Guard,
        rule: RouteRule,
        scope: MutableMapping[str, Any],
        resolution: Resolution,
        state: RequestState,
        given: Given,
    ) -> Entry | None:
        """Hand a call to the engine in shadow, before it can change its arguments. Raises nothing; None: it failed."""
        asking = self._with_user(rule, scope, resolution, given.body, None, given.source)
        return await self._observed(guard, rule, state, asking)

    async def _observed(
        self, guard: Guard, rule: RouteRule, state: RequestState, asking: Awaitable[Asked]
    ) -> Entry | None:
        try:
            with anyio.fail_after(_OBSERVE_SECONDS):
                asked = await asking
            entry = await aadmit(guard, rule, asked.facts, asked.source)
        except Exception:
            self.lost += 1
            if self.lost == 1:
                logger.error("a shadow observation failed; more are only counted", exc_info=True)
            return None
        state.add(entry)
        return entry

    async def _seen(
        self, rule: RouteRule, scope: MutableMapping[str, Any], watch: Watch, resolution: Resolution
    ) -> Asked:
        raw, complete = watch.seen(scope)
        body = await body_for(rule, raw if rule.reads_body else None, complete, scope)
        whole = raw if complete and raw is not None and len(raw) <= rule.max_body_bytes else None
        request = replayed(whole, own_scope(scope, resolution)) if scope["type"] == "http" else None
        return await self._with_user(rule, scope, resolution, body, request)


def _refused(one: Asked, asked: Sequence[Asked], error: GuardError | None = None) -> Ruling:
    for other in asked:
        if other.entry is not None:
            other.entry.settle("not-run")
    return Ruling(error or one.error, one.rule.action, one.facts)


async def _left(guard: Guard, asked: Sequence[Asked]) -> Ruling:
    """The client is gone: nothing runs, and nobody is asked to decide for nobody."""
    for one in asked:
        if one.entry is not None:
            one.entry.settle("not-run")
        if isinstance(one.error, SupervisorReviewPending):
            await abandon(guard, one.error.action_id)
    return Ruling(gone=True)


async def _watch(prefix: Prefix, cap: int, gone: anyio.Event) -> None:
    await anyio.sleep(_WATCH_AFTER)
    await prefix.watch(cap)
    gone.set()
