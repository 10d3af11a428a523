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
    Result,
    Ruling,
    Tripwire,
    enforced,
    get_state,
    no_guard,
    serving,
)
from supervisor_guards_django import conf
from supervisor_guards_django.answers import REFUSALS, response_of
from supervisor_guards_django.bodies import watch
from supervisor_guards_django.facts import label, method_of
from supervisor_guards_django.judging import Observing, may_be_refused, rule_on
from supervisor_guards_django.known import KnownRoutes, Route
from supervisor_guards_django.steps import Flow, GuardInUse, adrive, drive
from supervisor_guards_django.streaming import within
from supervisor_guards_django.users import Before
from supervisor_guards_django.within import Within

logger = logging.getLogger("supervisor_guards")


class Visit(Within, RequestState):
    """One request on its way through the middleware: its decisions, and what is left to do after the view.

    Nearly every request has none, and pays for no more than one attribute.
    """

    guarded: tuple[str, ...] = ()
    delegated: frozenset[str] = frozenset()
    entries: Any = ()
    around = True
    """The middleware's own call is around the view: there is an afterwards."""
    match: Any = None
    method: Any = None
    """What was judged. Another match is another view: a request may be sent on."""
    label = ""
    rulings: tuple[Ruling, ...] = ()
    observing: tuple[Observing, ...] = ()
    raised = False

    def add(self, entry: Any) -> None:
        """Note a decision."""
        self.entries = [*self.entries, entry]

    def broken_off(self, error: BaseException) -> None:
        """Note that there is no answer. A client that hung up cancels its request, not the threads that work for it."""
        self.gone = not isinstance(error, Exception)
        self.settle("raised")

    def settle(self, result: Result) -> None:
        """Note how the actions ended."""
        for ruling in self.rulings:
            ruling.settle(result)


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
        self._known = KnownRoutes()
        self._async = iscoroutinefunction(get_response)
        if self._async:
            # Django looks at both: a plain process_view would cost a change of threads on each request.
            markcoroutinefunction(self)
            self.process_view = self._aprocess_view  # type: ignore[method-assign]
        conf.provide()

    def __call__(self, request: Any) -> Any:
        if self._async:
            return self._acall(request)
        visit = _arrive(request)
        if visit is None:
            return self.get_response(request)
        try:
            with serving(visit, visit.approvals(request)):
                response = self.get_response(request)
        except BaseException as error:
            visit.broken_off(error)
            raise
        if visit.guarded or request.resolver_match is not visit.match or request.method is not visit.method:
            drive(self._leave(request, visit, response))
        if response.streaming:
            within(request, visit, response)
        return response

    async def _acall(self, request: Any) -> Any:
        visit = _arrive(request)
        if visit is None:
            return await self.get_response(request)
        try:
            with serving(visit, visit.approvals(request)):
                response = await self.get_response(request)
        except BaseException as error:
            visit.broken_off(error)
            raise
        if visit.guarded or request.resolver_match is not visit.match or request.method is not visit.method:
            await adrive(self._leave(request, visit, response))
        if response.streaming:
            within(request, visit, response)
        return response

    def process_view(self, request: Any, view: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Judge the request once Django knows its view. Returns the answer of a refusal, else None."""
        route = self._route(request, view)
        return None if route is None else _answer(request, drive(_judge(request, route, args, kwargs)))

    async def _aprocess_view(self, request: Any, view: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        route = self._route(request, view)
        return None if route is None else _answer(request, await adrive(_judge(request, route, args, kwargs)))

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        """What a plain guard inside the view refused becomes the same answer as a rule's refusal."""
        visit = get_state(vars(request))
        if isinstance(visit, Visit):
            visit.raised = True
        return response_of(exception, request) if isinstance(exception, REFUSALS) else None

    def _route(self, request: Any, view: Any) -> Route | None:
        """The route to judge by; None where no rule is meant, or the request was judged on its way to this view."""
        visit = vars(request).get(STATE_KEY)
        if not isinstance(visit, Visit):  # another request object than the one that came in
            visit = _arrive(request)
            visit.around = False
        match = request.resolver_match
        if visit.match is match:
            return None
        visit.match, visit.method = match, request.method
        return self._known.find(conf.current(), request, view)

    def _leave(self, request: Any, visit: Visit, response: Any) -> Flow[None]:
        result: Result = "raised" if visit.raised or response.status_code >= 500 else "returned"
        visit.settle(result)
        for one in visit.observing:
            seen = yield from one.observe(request, visit)
            seen.settle(result)
        if request.resolver_match is not visit.match:
            self._unasked(request, visit, response.status_code < 300)
        elif request.method is not visit.method:
            self._unasked(request, visit, response.status_code < 400)
        if visit.guarded and response.status_code < 400:
            self.tripwire.check(visit, visit.guarded, visit.label)

    def _unasked(self, request: Any, visit: Visit, ran: bool) -> None:
        """A view that we weren't asked about seems to have run: see whether a rule was meant for it.

        A redirect may be a middleware's that came before us, so it tells nothing.
        """
        match = request.resolver_match
        route = self._known.find(conf.current(), request, match.func) if match is not None and ran else None
        if route is not None:
            self.tripwire.check(visit, route.actions, label(request, route.template))


def _arrive(request: Any) -> Any:
    """The visit that begins; None where this middleware is around the request already."""
    attributes = vars(request)
    former = attributes.get(STATE_KEY)
    if isinstance(former, Visit):
        return None
    visit = attributes[STATE_KEY] = Visit(request)
    if isinstance(former, RequestState):  # a guarded view was called before us
        visit.entries = former.entries
    return visit


def _judge(request: Any, route: Route, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Flow[Ruling]:
    visit: Any = get_state(vars(request))
    if route.problem:
        return _unresolved(request, route.problem)
    visit.label = label(request, route.template)
    visit.guarded += route.actions
    visit.delegated |= route.delegated
    if not route.rules:
        return Ruling()
    place = route.place(request, args, kwargs)
    try:
        guard = yield GuardInUse()
        may_refuse, observing = enforced(guard, route.rules)
    except Exception as error:
        return Ruling(no_guard(error), route.rules[0].action) if may_be_refused(route.rules) else Ruling()
    ruling = Ruling()
    if may_refuse:
        ruling = yield from rule_on(guard, may_refuse, request, place, visit)
        visit.rulings += (ruling,)
    if observing and ruling.error is None:
        watched = watch(request, max(rule.max_body_bytes for rule in observing))
        seen = Observing(guard, observing, place, watched, Before.of(request))
        if visit.around:
            visit.observing += (seen,)
        else:
            yield from seen.observe(request, visit)
    return ruling


def _unresolved(request: Any, problem: str) -> Ruling:
    """It can't be told whether the view is guarded."""
    settings = conf.current()
    logger.error("it can't be told whether a view is guarded: %s", problem)
    if settings.unresolved == "warn" or method_of(request) in SAFE_METHODS or not settings.enforces:
        return Ruling()
    return Ruling(PayloadUnusable("deny", ["unresolved-route"]))


def _answer(request: Any, ruling: Ruling) -> HttpResponse | None:
    if ruling.error is None:
        return None
    return response_of(ruling.error, request, ruling.action, ruling.facts)
