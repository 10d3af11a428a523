"""`supervised` and its kin: one body of logic for every kind of function, decided when decorating."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, ParamSpec, TypeVar, cast

from supervisor_guards._binding import Call, make_call_note, make_extractor
from supervisor_guards._default import guard_for
from supervisor_guards._model import ON_REVIEW, Entry, OnReview
from supervisor_guards.errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
AF = TypeVar("AF", bound=Callable[..., Any])
GUARDED = "__supervisor_guards_action__"
"""The wrapper's attribute that holds its action type, for those who list what is guarded."""


class _CallSite:
    """What one decorated function asks of the guard, and how its payload is built from a call."""

    __slots__ = ("action_type", "call", "extract", "function", "on_review", "own_payload")

    def __init__(
        self, function: Any, action_type: str, payload: Callable[..., Any] | None, on_review: OnReview | None
    ) -> None:
        self.function = function
        self.action_type = action_type
        self.on_review = on_review
        self.own_payload = payload is not None
        self.extract: Callable[[tuple[Any, ...], dict[str, Any]], Any]
        self.call: Callable[[int], Call | None]
        if payload is not None:
            build = payload
            self.extract = lambda args, kwargs: build(*args, **kwargs)
            self.call = _unnoted
        else:
            takes_self = _takes_self(function)
            self.extract = make_extractor(function, drop_first=takes_self)
            self.call = make_call_note(function, drop_first=takes_self) or _unnoted

    def admit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """Ask the default guard; raises what refuses."""
        guard = guard_for(self.action_type, self.on_review)
        return self.accepted(
            guard.admit(self.action_type, self.extract, args, kwargs, self.on_review, None, self.call(len(args))),
            args,
            kwargs,
        )

    async def aadmit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """`admit` for async callers."""
        guard = guard_for(self.action_type, self.on_review)
        return self.accepted(
            await guard.aadmit(
                self.action_type, self.extract, args, kwargs, self.on_review, None, self.call(len(args))
            ),
            args,
            kwargs,
        )

    def accepted(self, entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """`entry`, unless its decision refuses."""
        if entry.decision is not None and entry.decision.error is not None:
            raise self.complaint(args, kwargs) or entry.decision.error
        return entry

    def complaint(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypeError | None:
        """The function's own complaint about its arguments, for a refused call that could not run anyway."""
        if not self.own_payload:
            try:
                self.extract(args, kwargs)
            except TypeError as error:
                return error
            except Exception:
                return None
        return None


def supervised(
    action_type: str,
    *,
    payload: Callable[..., dict[str, Any]] | None = None,
    on_review: OnReview | None = None,
) -> Callable[[F], F]:
    """Ask the supervisor before each call of the decorated function.

    `payload` is called with the call's own arguments and answers the mapping to judge; without it, the
    arguments are bound by name. `on_review` overrides the settings here: `block`, `fail_closed`, `fail_open`,
    `shadow`. Works on functions, coroutine functions, methods, classmethods, staticmethods, partials, callable
    objects, and on generators, which are checked at the first `next`.

    The call raises `SupervisorBlocked`, `SupervisorReviewPending` or `SupervisorUnavailable` when it may not
    run. Decorating raises `TypeError` where the action type is missing.
    """
    _check(action_type, on_review)

    def decorate(function: F) -> F:
        return cast(F, _guarded_callable(function, action_type, payload, on_review))

    return decorate


def supervised_async(
    action_type: str,
    *,
    payload: Callable[..., dict[str, Any]] | None = None,
    on_review: OnReview | None = None,
) -> Callable[[AF], AF]:
    """`supervised` for coroutine functions and async generators; a `TypeError` on anything else."""
    _check(action_type, on_review)

    def decorate(function: AF) -> AF:
        inner = function.__func__ if isinstance(function, (classmethod, staticmethod)) else function
        if _kind(inner) not in ("coroutine", "async-generator"):
            raise TypeError(f"supervised_async({action_type!r}) needs an async function; use supervised for {inner!r}")
        return cast(AF, _guarded_callable(function, action_type, payload, on_review))

    return decorate


def guarded(
    action_type: str,
    payload: dict[str, Any],
    fn: Callable[..., R],
    *args: Any,
    on_review: OnReview | None = None,
    **kwargs: Any,
) -> R:
    """Ask the supervisor about `payload`, then return `fn(*args, **kwargs)`.

    Raises what `supervised` raises. For a coroutine function use `guarded_async`.
    """
    entry = _accepted(guard_for(action_type, on_review).admit(action_type, _as_given, (payload,), {}, on_review))
    try:
        value = fn(*args, **kwargs)
    except BaseException:
        entry.settle("raised")
        raise
    entry.settle("returned")
    return value


async def guarded_async(
    action_type: str,
    payload: dict[str, Any],
    fn: Callable[..., Awaitable[R]],
    *args: Any,
    on_review: OnReview | None = None,
    **kwargs: Any,
) -> R:
    """`guarded` for a coroutine function: `await guarded_async("refund", {...}, refund, order_id=...)`."""
    entry = _accepted(await guard_for(action_type, on_review).aadmit(action_type, _as_given, (payload,), {}, on_review))
    try:
        value = await fn(*args, **kwargs)
    except BaseException:
        entry.settle("raised")
        raise
    entry.settle("returned")
    return value


def _unnoted(count: int) -> None:
    return None


def _as_given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0]


def _accepted(entry: Entry) -> Entry:
    if entry.decision is not None and entry.decision.error is not None:
        raise entry.decision.error
    return entry


def _check(action_type: str, on_review: str | None) -> None:
    if not isinstance(action_type, str) or not action_type:
        raise TypeError(f"an action type is missing: write @supervised('refund'), not {action_type!r}")
    if on_review is not None and on_review not in ON_REVIEW:
        raise ConfigurationError(f"on_review={on_review!r} for {action_type!r}: choose one of {', '.join(ON_REVIEW)}")


def _guarded_callable(function: Any, action_type: str, payload: Any, on_review: OnReview | None) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_guarded_callable(function.__func__, action_type, payload, on_review))
    if not callable(function):
        raise TypeError(f"supervised({action_type!r}) needs a callable, not {function!r}")
    site = _CallSite(function, action_type, payload, on_review)
    wrapper = functools.wraps(function)(_WRAPPERS[_kind(function)](site))
    setattr(wrapper, GUARDED, action_type)
    return wrapper


def _kind(function: Any) -> str:
    target = function
    while isinstance(target, functools.partial):
        target = target.func
    if not inspect.isroutine(target) and not inspect.isclass(target):
        target = getattr(type(target), "__call__", target)  # noqa: B004 - the method itself, to see its kind
    if inspect.iscoroutinefunction(target):
        return "coroutine"
    if inspect.isasyncgenfunction(target):
        return "async-generator"
    return "generator" if inspect.isgeneratorfunction(target) else "sync"


def _takes_self(function: Any) -> bool:
    """Whether `function` was defined in a class body and takes the instance or class first."""
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    code = getattr(function, "__code__", None)
    first = code.co_varnames[:1] if code is not None and code.co_argcount else ()
    return bool(scope) and not scope.endswith("<locals>") and first in (("self",), ("cls",), ("mcs",))


def _sync(site: _CallSite) -> Callable[..., Any]:
    function, admit = site.function, site.admit

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        entry = admit(args, kwargs)
        try:
            value = function(*args, **kwargs)
        except BaseException:
            entry.settle("raised")
            raise
        entry.settle("returned")
        return value

    return wrapper


def _coroutine(site: _CallSite) -> Callable[..., Any]:
    function, aadmit = site.function, site.aadmit

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        entry = await aadmit(args, kwargs)
        try:
            value = await function(*args, **kwargs)
        except BaseException:
            entry.settle("raised")
            raise
        entry.settle("returned")
        return value

    return wrapper


def _generator(site: _CallSite) -> Callable[..., Any]:
    function, admit = site.function, site.admit

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        entry = admit(args, kwargs)
        try:
            value: Any = yield from function(*args, **kwargs)
        except GeneratorExit:
            entry.settle("returned")  # the consumer had enough; the action itself did not fail
            raise
        except BaseException:
            entry.settle("raised")
            raise
        entry.settle("returned")
        return value

    return wrapper


def _async_generator(site: _CallSite) -> Callable[..., Any]:
    function, aadmit = site.function, site.aadmit

    async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        entry = await aadmit(args, kwargs)
        inner = function(*args, **kwargs)
        try:
            value = await inner.__anext__()
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:
                    value = await inner.athrow(error)
                else:
                    value = await inner.asend(sent)
        except StopAsyncIteration:
            entry.settle("returned")
        except GeneratorExit:
            entry.settle("returned")
            raise
        except BaseException:
            entry.settle("raised")
            raise

    return wrapper


_WRAPPERS: dict[str, Callable[[_CallSite], Callable[..., Any]]] = {
    "sync": _sync,
    "coroutine": _coroutine,
    "generator": _generator,
    "async-generator": _async_generator,
}
