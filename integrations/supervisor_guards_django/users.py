"""Who sent the request, reduced to an id: never a model, never the text of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth import SESSION_KEY
from django.utils.functional import LazyObject, empty

from supervisor_guards.web import ANONYMOUS, UNKNOWN, User, UserResolver, checked_user


class Before(msgspec.Struct, frozen=True):
    """What a request had of its sender before the view ran: no more than costs nothing."""

    user: Any
    session_key: Any

    @classmethod
    def of(cls, request: Any) -> Before:
        """What `request` has now."""
        return cls(vars(request).get("user"), _session_key(request))


def resolve(request: Any, resolver: UserResolver | None) -> User:
    """The sender, as `resolver` or Django's authentication says. Raises what it raises, `TypeError` for no `User`."""
    if resolver is None:
        return user_of(getattr(request, "user", None))
    if iscoroutinefunction(resolver):
        raise TypeError(f"USER_RESOLVER {resolver!r} is a coroutine function, and this request is served in a thread")
    return checked_user(resolver(request), "USER_RESOLVER")


async def aresolve(request: Any, resolver: UserResolver | None) -> User:
    """`resolve` on the event loop. A plain resolver may use the ORM, so it runs in Django's own thread."""
    if resolver is not None:
        found = resolver if iscoroutinefunction(resolver) else sync_to_async(resolver, thread_sensitive=True)
        return checked_user(await found(request), "USER_RESOLVER")
    given = _given(request)
    if given is not None:
        return user_of(given) if _is_there(given) else await sync_to_async(user_of, thread_sensitive=True)(given)
    auser = getattr(request, "auser", None)
    return user_of(getattr(request, "user", None) if auser is None else await auser())


def at_hand(request: Any) -> User | None:
    """The sender as far as the application has asked for it already; None where that is still to be found out."""
    given = _given(request)
    if given is not None:
        return user_of(given) if _is_there(given) else None
    for name in ("_acached_user", "_cached_user"):
        if hasattr(request, name):
            return user_of(getattr(request, name))
    return UNKNOWN if vars(request).get("user") is None else None


def peek(request: Any, resolver: UserResolver | None, before: Before | None = None) -> User:
    """`resolve` for a request whose answer must stay as it is.

    Looking at `request.user` marks the session as read and may end it, which shows in the response's headers. So
    what the application didn't ask for is read through a session object of our own. Where the view has signed
    somebody in or out since `before`, it is whom the request came from.
    """
    if resolver is None and before is not None and _changed_hands(request, before):
        return _former(request, before)
    if resolver is not None or _given(request) is not None:
        return unmarked(request, lambda: resolve(request, resolver))
    known = at_hand(request)
    if known is not None:
        return known
    store = _own_session(request)
    return ANONYMOUS if store is None else _from_session(store.get(SESSION_KEY))


async def apeek(request: Any, resolver: UserResolver | None, before: Before | None = None) -> User:
    """`peek` on the event loop."""
    if resolver is None and before is not None and _changed_hands(request, before):
        return _former(request, before)
    if resolver is not None or _given(request) is not None:
        session = getattr(request, "session", None)
        accessed = getattr(session, "accessed", None)
        try:
            return await aresolve(request, resolver)
        finally:
            _restore(session, accessed)
    known = at_hand(request)
    if known is not None:
        return known
    store = _own_session(request)
    return ANONYMOUS if store is None else _from_session(await store.aget(SESSION_KEY))


def _changed_hands(request: Any, before: Before) -> bool:
    """Whether somebody was signed in or out: `login` and `logout` put another user on the request and another key."""
    return vars(request).get("user") is not before.user and _session_key(request) != before.session_key


def _former(request: Any, before: Before) -> User:
    """Who sent the request, after another was signed in: whom the view, or what came before it, has looked at."""
    if _own(before.user) is not None and _is_there(before.user):
        return user_of(before.user)
    for name in ("_acached_user", "_cached_user"):  # of the lazy user that Django put there first
        if hasattr(request, name):
            return user_of(getattr(request, name))
    return ANONYMOUS if before.session_key is None else UNKNOWN


def _session_key(request: Any) -> Any:
    return getattr(getattr(request, "session", None), "session_key", None) or None


def _given(request: Any) -> Any:
    """Whom the project put on the request in place of Django's own lazy user; None where it didn't."""
    return _own(vars(request).get("user"))


def _own(user: Any) -> Any:
    if isinstance(user, LazyObject):
        made_by = getattr(vars(user).get("_setupfunc"), "__module__", None)
        return None if made_by == "django.contrib.auth.middleware" else user
    return user


def _is_there(user: Any) -> bool:
    return not isinstance(user, LazyObject) or user._wrapped is not empty


def user_of(user: Any) -> User:
    """Django's user object as a `User`: its primary key. Groups and scopes are for a resolver to say."""
    if user is None:
        return UNKNOWN
    if not getattr(user, "is_authenticated", False):
        return ANONYMOUS
    key = getattr(user, "pk", None)
    if key is None:
        raise TypeError(
            f"a signed-in user of type {type(user).__name__} has no primary key: name a USER_RESOLVER that returns "
            "supervisor_guards.web.User"
        )
    return User(id=str(key))


def unmarked(request: Any, ask: Callable[[], User]) -> User:
    """What `ask` finds, with the session as unread as it was: to have read it shows in the answer's headers."""
    session = getattr(request, "session", None)
    accessed = getattr(session, "accessed", None)
    try:
        return ask()
    finally:
        _restore(session, accessed)


def _restore(session: Any, accessed: Any) -> None:
    if accessed is not None:
        session.accessed = accessed


def _own_session(request: Any) -> Any:
    session = getattr(request, "session", None)
    key = getattr(session, "session_key", None)
    if key is None:
        return None
    store: Any = type(session)
    return store(key)


def _from_session(key: Any) -> User:
    return ANONYMOUS if key is None else User(id=str(key))
