"""What a plain guard inside a view is told: which guard answers here and now, and of which request.

While Flask serves a request, it knows itself. The parts of a streamed answer are taken after that.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from flask import current_app, has_app_context, has_request_context

from supervisor_guards import Guard, GuardConfig
from supervisor_guards.errors import GuardError
from supervisor_guards.web import UNKNOWN, Body, LazyFacts, User
from supervisor_guards_flask import users
from supervisor_guards_flask.application import Guarded, guarded_of
from supervisor_guards_flask.facts import approvals_of, facts_of
from supervisor_guards_flask.visits import current_context, visit_of

logger = logging.getLogger("supervisor_guards")

_KEY = "supervisor_guards_within"
STREAMED: ContextVar[Any] = ContextVar("supervisor_guards_streamed", default=None)
"""Flask's context of the request whose answer's parts are being taken."""


def guard_here() -> Guard | None:
    """The guard of the application that Flask serves, or runs a command of, here and now."""
    found = _guarded_here()
    return None if found is None else found.guard()


def settings_here() -> GuardConfig | None:
    """The settings that this guard is made of."""
    found = _guarded_here()
    return None if found is None else found.settings.config


def _guarded_here() -> Guarded | None:
    if has_app_context():
        return guarded_of(current_app)
    context = STREAMED.get()
    return None if context is None else guarded_of(context.app)


def request_here() -> tuple[Any, tuple[str, ...]] | None:
    """What a plain guard is told of the request around it."""
    context = current_context() if has_request_context() else STREAMED.get()
    guarded = None if context is None else guarded_of(context.app)
    return None if guarded is None else _told(context, guarded)


def remember(context: Any, guarded: Guarded) -> None:
    """Work out now what guards will be told once Flask has left `context`: a resolver may need it."""
    facts, _ = _told(context, guarded)
    try:
        _ = facts.subject
    except Exception:
        logger.error("what is known of a request could not be told in advance", exc_info=True)


def _told(context: Any, guarded: Guarded) -> tuple[Any, tuple[str, ...]]:
    found: tuple[Any, tuple[str, ...]] | None = context.__dict__.get(_KEY)
    if found is None:
        found = context.__dict__[_KEY] = (LazyFacts(lambda: _facts(context, guarded)), _approvals(context.request))
    return found


def _facts(context: Any, guarded: Guarded) -> Any:
    request, visit = context.request, visit_of(context)
    path = request.view_args or {} if visit is None else visit.path
    sender = visit.sender if visit is not None and visit.sender is not None else _sender(request, guarded)
    return facts_of(request, path, Body("unread"), sender).engine_facts()


def _sender(request: Any, guarded: Guarded) -> User:
    try:
        return users.resolve(request, guarded.settings.user_resolver)
    except Exception:
        logger.error("the user resolver failed, so the sender is not known", exc_info=True)
        return UNKNOWN


def _approvals(request: Any) -> tuple[str, ...]:
    """The approvals that the request brings; a header that can't be read brings none."""
    try:
        return approvals_of(request)
    except GuardError:
        return ()
