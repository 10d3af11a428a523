"""The functions that Flask calls for each request. They are plain functions: Flask asks each whether it is async."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response
from flask.globals import request_ctx

from supervisor_guards.errors import GuardError
from supervisor_guards.web import STATE_KEY
from supervisor_guards_flask.answers import REFUSALS, Refused
from supervisor_guards_flask.application import Guarded
from supervisor_guards_flask.checks import look_over
from supervisor_guards_flask.judging import observe
from supervisor_guards_flask.streaming import is_streamed, stream
from supervisor_guards_flask.visits import Place, Visit, visit_of
from supervisor_guards_flask.within import remember

logger = logging.getLogger("supervisor_guards")
_context = request_ctx._get_current_object  # type: ignore[attr-defined]


def install(app: Flask, guarded: Guarded) -> None:
    """Register the hooks on `app`.

    The parameters are noted before any preprocessor can take some out, and the answer is seen as it leaves. The
    question itself stands where the application puts it: hooks registered before are called before, and what they
    answer is no request to a view; hooks registered later, and those of blueprints, are called later.
    """
    app.url_value_preprocessors.setdefault(None, []).insert(0, _noting(guarded))
    app.before_request(_asking(guarded))
    # The first of these is the last to be called.
    app.after_request_funcs.setdefault(None, []).insert(0, _leaving(guarded))
    app.teardown_request_funcs.setdefault(None, []).insert(0, _ending(guarded))
    known = app.error_handler_spec[None][None]
    for kind in REFUSALS:
        if kind not in known:  # the application's own handlers stand
            app.register_error_handler(kind, _refusing(guarded))


def _noting(guarded: Guarded) -> Any:
    looked = False
    places, views = guarded.places, guarded.app.view_functions

    def supervisor_guards_note(endpoint: Any, values: Mapping[str, Any] | None) -> None:
        nonlocal looked
        if not looked:
            looked = True
            look_over(guarded)
        context = _context()
        request = context.request
        url_rule = request.url_rule
        if url_rule is None:
            return
        place = places.get((id(url_rule), request.method))
        if place is None or place.view is not views.get(endpoint) or place.url_rule is not url_rule or place.guarded:
            _note(guarded, context, values)
        else:
            context.__dict__[STATE_KEY] = place

    return supervisor_guards_note


def _note(guarded: Guarded, context: Any, values: Mapping[str, Any] | None) -> Any:
    """Keep with the request what guards it: a visit, a place where nothing does, or the error that hides it."""
    try:
        place = guarded.place_of(context.request)
        found: Any = guarded.visit(context.request, place, dict(values or {})) if place.guarded else place
    except Exception as error:
        logger.error("it can't be told what guards a request", exc_info=True)
        found = error
    context.__dict__[STATE_KEY] = found
    return found


def _asking(guarded: Guarded) -> Any:
    def supervisor_guards_ask() -> Any:
        context = _context()
        request = context.request
        found = context.__dict__.get(STATE_KEY)
        if type(found) is Place:
            if found.url_rule is request.url_rule and found.method == request.method:
                return None
        elif found is None and request.url_rule is None:
            return None if request.routing_exception is not None else guarded.unresolved(request)
        if type(found) is not Visit or not found.place.is_of(request):
            found = _note(guarded, context, request.view_args)  # a hook before us has changed the route
        if type(found) is Visit:
            found.asked = True
            found.path = {**found.path, **(request.view_args or {})}
            return guarded.judge(request, found)
        return guarded.broken(request, found) if isinstance(found, Exception) else None

    return supervisor_guards_ask


def _leaving(guarded: Guarded) -> Any:
    def supervisor_guards_leave(response: Response) -> Response:
        context = _context()
        found = context.__dict__.get(STATE_KEY)
        try:
            if is_streamed(context.request, response):
                stream(_visit(context), context, response)
            if type(found) is Visit:
                if found.result is None:
                    found.result = "raised" if response.status_code >= 500 else "returned"
                if found.asked:  # otherwise a hook has answered before us, and no view ran
                    _compare(guarded, context.request, found, response)
            elif type(found) is not Place or found.url_rule is not context.request.url_rule:
                _compare(guarded, context.request, None, response)
        except Exception:
            logger.error("an answer could not be looked at", exc_info=True)
        return response

    return supervisor_guards_leave


def _ending(guarded: Guarded) -> Any:
    def supervisor_guards_end(error: BaseException | None) -> None:
        context = _context()
        visit = visit_of(context)
        if visit is not None:
            observe(context.request, visit, guarded.settings.user_resolver)
            if visit.streaming:
                remember(context, guarded)
            else:
                visit.settle(visit.result or "raised")

    return supervisor_guards_end


def _refusing(guarded: Guarded) -> Any:
    def supervisor_guards_refuse(error: GuardError) -> Any:
        """What a plain guard inside a view refused becomes the same answer as a rule's refusal."""
        context = _context()
        visit = visit_of(context)
        if visit is not None:
            visit.result = "raised"
        try:
            return guarded.answer(error, context.request)
        except Refused as raised:
            return guarded.app.handle_http_exception(raised)

    return supervisor_guards_refuse


def _visit(context: Any) -> Visit:
    """The request's visit; made here where nothing guards its route."""
    visit = visit_of(context)
    if visit is None:
        request = context.request
        place = Place(request.url_rule, request.method, None)
        visit = context.__dict__[STATE_KEY] = Visit(place, request.view_args or {})
        visit.result = "returned"
    return visit


def _compare(guarded: Guarded, request: Any, visit: Visit | None, response: Response) -> None:
    """Whether what was answered is what was asked about. A redirect or an error is no sign that a view ran."""
    if request.url_rule is None or request.routing_exception is not None:
        return
    if 200 <= response.status_code < 300:
        guarded.trip(request, visit)
