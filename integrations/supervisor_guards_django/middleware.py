"""`SupervisorMiddleware`: asks before the view of a ruled route runs, in threads and on the event loop alike."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpResponse

from supervisor_guards.errors import PayloadUnusable
from supervisor_guards.web import (
    SAFE_METHODS,
    STATE_KEY,
    RequestState,
    Ruling,
    Tripwire,
    Watch,
    enforced,
    get_state,
    no_guard,
    serving,
)
from supervisor_guards_django import conf
from supervisor_guards_django.answers import REFUSALS, response_of
from supervisor_guards_django.bodies import watch
from supervisor_guards_django.facts import Place, label, method_of, place_of, rules_for, will_run
from supervisor_guards_django.judging import observe, rule_on
from supervisor_guards_django.own import own_actions
from supervisor_guards_django.steps import Flow, GuardInUse, adrive, drive
from supervisor_guards_django.within import Within

logger = logging.getLogger("supervisor_guards")


class Visit(RequestState):
    """One request on its way through the middleware: its decisions, and what is left to do after the view."""

    def __init__(self, owner: object, request: Any) -> None:
        super().__init__()
        self.owner = owner
        self.within: Any = Within(request)
        self.place: Place | None = None
        self.ruling = Ruling()
        self.observing: Any = ()
        self.guard: Any = None
        self.watch: Watch | None = None
        self.raised = False


class SupervisorMiddleware:
    """`MIDDLEWARE += ["supervisor_guards_django.middleware.SupervisorMiddleware"]`: the last one, or nearly.

    It needs what comes before it: `AuthenticationMiddleware` for the sender, `CsrfViewMiddleware` so that a forged
    request is never judged. Everything else is in the dict `SUPERVISOR_GUARDS`.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self.tripwire = Tripwire()
        self._async = iscoroutinefunction(get_response)
        if self._async:
            # Django looks at both: a plain process_view would cost a change of threads on each request.
            markcoroutinefunction(self)
            self.process_view = self._aprocess_view  # type: ignore[method-assign]
        conf.provide()

    def __call__(self, request: Any) -> Any:
        if self._async:
            return self._acall(request)
        visit = self._enter(request)
        if visit is None:
            return self.get_response(request)
        try:
            with serving(visit.within, visit.within.approvals()):
                response = self.get_response(request)
        except BaseException:
            visit.ruling.settle("raised")
            raise
        drive(self._leave(request, visit, response))
        return response

    async def _acall(self, request: Any) -> Any:
        visit = self._enter(request)
        if visit is None:
            return await self.get_response(request)
        try:
            with serving(visit.within, visit.within.approvals()):
                response = await self.get_response(request)
        except BaseException:  # a client that hung up cancels the request
            visit.ruling.settle("raised")
            raise
        await adrive(self._leave(request, visit, response))
        return response

    def process_view(self, request: Any, view: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Judge the request once Django knows its view. Returns the answer of a refusal, else None."""
        return _answer(request, drive(self._judge(request, view, args, kwargs)))

    async def _aprocess_view(self, request: Any, view: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return _answer(request, await adrive(self._judge(request, view, args, kwargs)))

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        """What a plain guard inside the view refused becomes the same answer as a rule's refusal."""
        visit = get_state(vars(request))
        if isinstance(visit, Visit):
            visit.raised = True
        return response_of(exception, request) if isinstance(exception, REFUSALS) else None

    def _enter(self, request: Any) -> Visit | None:
        """The visit; None where this middleware is around the request already."""
        if get_state(vars(request)) is not None:
            return None
        visit = Visit(self, request)
        setattr(request, STATE_KEY, visit)
        return visit

    def _judge(self, request: Any, view: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Flow[Ruling]:
        visit = get_state(vars(request))
        settings = conf.current()
        if not isinstance(visit, Visit) or visit.owner is not self:
            return Ruling()
        if settings.rule_problems:
            return _without_rules(request, settings)
        if not len(settings.rules):
            return Ruling()
        method = method_of(request)
        place = place_of(request, view, args, kwargs)
        rules = rules_for(settings.rules, method, place)
        if not rules or not will_run(view, method):
            return Ruling()
        visit.place = place
        visit.guarded = tuple(rule.action for rule in rules)
        visit.delegated = frozenset(visit.guarded) & own_actions(view, method)
        own = [rule for rule in rules if rule.action not in visit.delegated]
        if not own:
            return Ruling()
        try:
            guard = yield GuardInUse()
            may_refuse, observing = enforced(guard, own)
        except Exception as error:
            refused = any(rule.mode != "shadow" for rule in own)
            return Ruling(no_guard(error), own[0].action) if refused else Ruling()
        if may_refuse:
            visit.ruling = yield from rule_on(guard, may_refuse, request, place, visit)
            if visit.ruling.error is not None:
                return visit.ruling
        if observing:
            visit.guard, visit.observing = guard, observing
            visit.watch = watch(request, max(rule.max_body_bytes for rule in observing))
        return visit.ruling

    def _leave(self, request: Any, visit: Visit, response: Any) -> Flow[None]:
        result: Any = "raised" if visit.raised or response.status_code >= 500 else "returned"
        visit.ruling.settle(result)
        if visit.observing and visit.place is not None:
            seen = yield from observe(visit.guard, visit.observing, request, visit.place, visit, visit.watch)
            seen.settle(result)
        if visit.guarded and visit.place is not None and response.status_code < 400:
            self.tripwire.check(visit, visit.guarded, label(request, visit.place.template))


def _without_rules(request: Any, settings: conf.Settings) -> Ruling:
    """The rules can't be read, so it can't be told whether the view is guarded."""
    logger.error("the rules can't be read, so nothing is guarded by them: %s", "; ".join(settings.rule_problems))
    if settings.unresolved == "warn" or method_of(request) in SAFE_METHODS or not settings.config.enforces:
        return Ruling()
    return Ruling(PayloadUnusable("deny", ["unresolved-route"]))


def _answer(request: Any, ruling: Ruling) -> HttpResponse | None:
    if ruling.error is None:
        return None
    return response_of(ruling.error, request, ruling.action, ruling.facts)
