"""`supervised_view` and `SupervisedMixin`: the guard of one view. `get_decision`: what was decided."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar, cast

import msgspec
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.views import View

from supervisor_guards import Decision
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.web import Result, RouteRule, Ruling, enforced, get_state, no_guard, place_rule, register
from supervisor_guards_django.answers import response_of
from supervisor_guards_django.bodies import watch
from supervisor_guards_django.facts import method_of, place_of
from supervisor_guards_django.judging import Observing, may_be_refused, rule_on, state_of
from supervisor_guards_django.own import MARK, marked
from supervisor_guards_django.running import handles, will_run
from supervisor_guards_django.steps import Flow, GuardInUse, adrive, drive
from supervisor_guards_django.users import Before

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

    For functions, plain and async; for a class, whose `dispatch` is then guarded; for a method, directly or through
    `method_decorator`; and around `as_view()` in a URLconf. The arguments are those of `RouteRule`. A rule of the
    settings for the same action leaves the asking to it. Raises `ConfigurationError` and, for what is no view,
    `TypeError`.
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
            return cast(F, method_decorator(decorate, name="dispatch")(view))
        if not callable(view):
            raise TypeError(f"supervised_view({action!r}) needs a view, not {view!r}")
        call = _Call(view, rule)
        wrapper = functools.wraps(view)(_coroutine(call) if iscoroutinefunction(view) else _plain(call))
        _keep_signature(wrapper, view)
        setattr(wrapper, MARK, marked(view, rule))
        # Django's method_decorator makes a wrapper for each call, and one around a dummy to see what is left on it.
        if not call.bound and getattr(view, "__module__", "") != method_decorator.__module__:
            register(wrapper, action)
        return cast(F, wrapper)

    return decorate


class SupervisedMixin:
    """For class-based views: `class Refund(SupervisedMixin, View): supervised_action = "refund"`.

    `supervised_payload` and `supervised_options` are `payload` and the other arguments of `supervised_view`.
    Raises `ConfigurationError` where the class is defined.
    """

    supervised_action: ClassVar[str | None] = None
    supervised_payload: ClassVar[Payload | None] = None
    supervised_options: ClassVar[dict[str, Any]] = {}
    _supervised: ClassVar[Any] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.supervised_action is not None:
            refuse_order(cls, SupervisedMixin, View)
            payload = cls.__dict__.get("supervised_payload", cls.supervised_payload)
            rule = place_rule(cls.supervised_action, payload=payload, **cls.supervised_options)
            setattr(cls, MARK, (rule,))
            cls._supervised = staticmethod(
                supervised_view(cls.supervised_action, payload=payload, **cls.supervised_options)
            )

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        dispatch = super().dispatch  # type: ignore[misc]
        if self._supervised is not None:
            dispatch = self._supervised(dispatch)
        return dispatch(request, *args, **kwargs)


def get_decision(request: Any, action: str | None = None) -> Decision | None:
    """The newest decision on the request, on `action` where that is given; None where there is none (yet).

    What is only observed is decided on after the view has answered.
    """
    state = get_state(vars(_plain_request(request)))
    return None if state is None else state.decision(action)


def refuse_order(view: type, mixin: type, base: type) -> None:
    """Raises `ConfigurationError` where `base` comes before `mixin` in a view's bases: the mixin is never called."""
    order = view.__mro__
    if base in order and order.index(base) < order.index(mixin):
        raise ConfigurationError(
            [f"{view.__qualname__}: list {mixin.__name__} before {base.__name__}, or nothing is ever asked"]
        )


class _Pass(msgspec.Struct, frozen=True):
    """A call that was asked about: its ruling, or what is to be observed once it is over."""

    ruling: Ruling
    seen: Observing | None = None


class _Call:
    """One decorated view: how its calls are asked about. No state of a call is kept here."""

    def __init__(self, view: Any, rule: RouteRule) -> None:
        self.view = view
        self.rule = rule
        target = getattr(view, "func", view)
        self._owner = getattr(target, "__self__", None)
        self._name = getattr(view, "__name__", "")
        self.bound = self._owner is not None

    def request(self, args: tuple[Any, ...]) -> Any:
        """Django's request among the first arguments. Raises `TypeError` where there is none."""
        for one in args[:2]:
            found = _plain_request(one)
            if isinstance(found, HttpRequest):
                return found
        raise TypeError(
            f"supervised_view({self.rule.action!r}): {getattr(self.view, '__qualname__', self.view)!r} was called "
            "without a request; decorate views, and guard other functions with supervised"
        )

    def owner(self, args: tuple[Any, ...]) -> Any:
        """The view object whose method this is; None for functions."""
        if self._owner is not None:
            return self._owner
        return args[0] if args and hasattr(args[0], "http_method_names") else None

    def asks(self, request: Any, args: tuple[Any, ...]) -> bool:
        """Whether the call runs code of the project that the rule is about."""
        method = method_of(request)
        if not self.rule.covers(method):
            return False
        owner = self.owner(args)
        if owner is None:
            return will_run(self.view, method)
        if self._name != "dispatch":  # a handler, and it is being called
            return True
        return handles(owner, method, owner.http_method_names, getattr(owner, "action_map", None))

    def before(self, request: Any) -> Flow[_Pass]:
        try:
            guard = yield GuardInUse()
            may_refuse = bool(enforced(guard, [self.rule])[0])
        except Exception as error:
            refused = may_be_refused([self.rule])
            return _Pass(Ruling(no_guard(error), self.rule.action) if refused else Ruling())
        place = place_of(request, self.view)
        if may_refuse:
            ruling = yield from rule_on(guard, [self.rule], request, place, state_of(request))
            return _Pass(ruling)
        watched = watch(request, self.rule.max_body_bytes)
        return _Pass(Ruling(), Observing(guard, [self.rule], place, watched, Before.of(request)))

    def after(self, request: Any, passed: _Pass, result: Result) -> Flow[None]:
        passed.ruling.settle(result)
        if passed.seen is not None:
            seen = yield from passed.seen.observe(request, state_of(request))
            seen.settle(result)


def _keep_signature(wrapper: Any, view: Any) -> None:
    """Resolve annotations that are texts: who asks the wrapper, as django-ninja does, would look in this module."""
    if any(isinstance(hint, str) for hint in getattr(view, "__annotations__", {}).values()):
        with contextlib.suppress(Exception):  # names that only a type checker knows
            wrapper.__signature__ = inspect.signature(view, eval_str=True)


def _plain(call: _Call) -> Callable[..., Any]:
    later = _coroutine(call)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        if getattr(call.owner(args), "view_is_async", False):  # its dispatch is plain, and returns a coroutine
            return later(*args, **kwargs)
        request = call.request(args)
        if not call.asks(request, args):
            return call.view(*args, **kwargs)
        passed = drive(call.before(request))
        if passed.ruling.error is not None:
            return response_of(passed.ruling.error, request, passed.ruling.action, passed.ruling.facts)
        try:
            response = call.view(*args, **kwargs)
        except BaseException:
            drive(call.after(request, passed, "raised"))
            raise
        drive(call.after(request, passed, _result(response)))
        return response

    return guarded


def _coroutine(call: _Call) -> Callable[..., Any]:
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        request = call.request(args)
        if not call.asks(request, args):
            return await _awaited(call.view(*args, **kwargs))
        passed = await adrive(call.before(request))
        if passed.ruling.error is not None:
            return response_of(passed.ruling.error, request, passed.ruling.action, passed.ruling.facts)
        try:
            response = await _awaited(call.view(*args, **kwargs))
        except BaseException:
            passed.ruling.settle("raised")  # nothing is awaited any more where the request was cancelled
            raise
        await adrive(call.after(request, passed, _result(response)))
        return response

    return guarded


async def _awaited(found: Any) -> Any:
    return await found if hasattr(found, "__await__") else found


def _result(response: Any) -> Result:
    return "raised" if getattr(response, "status_code", 200) >= 500 else "returned"


def _plain_request(request: Any) -> Any:
    """Django's own request, where a framework upon it hands out another."""
    inner = getattr(request, "_request", None)
    return inner if isinstance(inner, HttpRequest) else request
