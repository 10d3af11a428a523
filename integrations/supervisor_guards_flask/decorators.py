"""`supervised_view`: the guard of one view."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from flask import current_app

from supervisor_guards.web import STATE_KEY, RouteRule, place_rule, register
from supervisor_guards_flask.application import Guarded, guarded_of
from supervisor_guards_flask.own import MARK, marked
from supervisor_guards_flask.visits import Visit, current_context, visit_of

F = TypeVar("F", bound=Callable[..., Any])
Payload = Sequence[str] | Callable[[Any], Any]


def supervised_view(
    action: str,
    *,
    payload: Payload | None = None,
    methods: Iterable[str] | None = None,
    mode: str | None = None,
    on_review: str | None = None,
    body: str = "auto",
    max_body_bytes: int | None = None,
) -> Callable[[F], F]:
    """Ask before each call of the decorated view; a refusal is answered, and the view not called.

    For functions, plain and async; for a class-based view, whose `dispatch_request` is then guarded; for one of its
    methods; and in its list `decorators`. Below the line that registers the route. The arguments are those of
    `RouteRule`. A rule of the settings for the same action leaves the asking to it. Raises `ConfigurationError` and,
    for what is no view, `TypeError`.
    """
    rule = place_rule(
        action,
        payload=payload,
        methods=methods,
        mode=mode,
        on_review=on_review,
        body=body,
        max_body_bytes=max_body_bytes,
    )

    def decorate(view: F) -> F:
        if isinstance(view, type):
            own: Any = view
            own.dispatch_request = _guarded(own.dispatch_request, rule)
            return cast(F, view)
        if not callable(view):
            raise TypeError(f"supervised_view({action!r}) needs a view, not {view!r}")
        return cast(F, register(_guarded(view, rule), action, mode))

    return decorate


def _guarded(view: Any, rule: RouteRule) -> Any:
    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        context = current_context()
        request = context.request
        if not rule.covers(request.method):
            return current_app.ensure_sync(view)(*args, **kwargs)
        extension = _extension(rule)
        visit = _visit(context, extension)
        before = len(visit.passed)
        ruling = extension.rule(request, visit, [rule], {**visit.path, **kwargs})
        if ruling.error is not None:
            return extension.answer(ruling.error, request, ruling.action, ruling.facts)
        own = visit.passed[before:]
        try:
            return current_app.ensure_sync(view)(*args, **kwargs)
        except BaseException:
            for entry in own:
                entry.settle("raised")
                visit.passed.remove(entry)
            raise

    setattr(guarded, MARK, marked(view, rule))
    return guarded


def _extension(rule: RouteRule) -> Guarded:
    found = guarded_of(current_app)
    if found is None:
        raise RuntimeError(
            f"supervised_view({rule.action!r}) needs the extension: call SupervisorGuards().init_app(app) for "
            f"{current_app.name!r}"
        )
    return found


def _visit(context: Any, extension: Guarded) -> Visit:
    """The request's visit; made here for a view that is no endpoint, but called by one."""
    visit = visit_of(context)
    if visit is None:
        place = extension.place_of(context.request)
        visit = context.__dict__[STATE_KEY] = Visit(place, context.request.view_args or {})
    return visit
