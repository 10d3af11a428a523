"""`supervised_route`: the guard of one endpoint, which sees what the endpoint gets."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import anyio.from_thread
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from supervisor_guards import Guard, get_guard
from supervisor_guards.errors import GuardError
from supervisor_guards.web import RequestFacts, place_rule, register
from supervisor_guards_asgi.answers import Answering, Answers, Refused, handles
from supervisor_guards_asgi.calls import Caller, Pass, binder, connection_of, takes_connection
from supervisor_guards_asgi.evaluation import Gate
from supervisor_guards_asgi.facts import UserResolver, starlette_user
from supervisor_guards_asgi.guards import RouteGuard
from supervisor_guards_asgi.holding import HOLD_SECONDS, MAX_HOLDS, Holds
from supervisor_guards_asgi.ownguards import mode_of
from supervisor_guards_asgi.routing import has_handler

F = TypeVar("F", bound=Callable[..., Any])
_INJECTED = "supervisor_guards_connection"
_CLIENT_GONE = 499  # nobody reads it; the word of common access logs for a client that hung up


def supervised_route(
    action: str,
    *,
    payload: Sequence[str] | Callable[..., Any] | None = None,
    mode: str | None = None,
    on_review: str | None = None,
    max_body_bytes: int | None = None,
    guard: Guard | None = None,
    user: UserResolver = starlette_user,
    review_url: str | None = None,
) -> Callable[[F], F]:
    """Ask before each call of the decorated endpoint; a refusal is answered, and the endpoint not called.

    Put it below the line that registers the route. On a FastAPI path operation the payload is its validated
    arguments, by name; on a Starlette endpoint, a function, method, class or websocket, it is the request as
    `RouteRule` gives it. `payload` lists field references instead, or is a callable that gets the call's own
    arguments. A generator endpoint is asked about when it is called, before its response begins.

    Where the application has an exception handler for the error (`SupervisorBlocked` and its kin), that one
    answers. Without a request, in a test, the call raises the error. Raises `ConfigurationError` and, for what is
    no endpoint, `TypeError`.
    """
    references = None if callable(payload) else payload
    rule = place_rule(action, payload=references, mode=mode, on_review=on_review, max_body_bytes=max_body_bytes)
    gate = Gate(guard, user, Holds(HOLD_SECONDS, MAX_HOLDS))
    own = payload if callable(payload) else None

    def decorate(endpoint: F) -> F:
        if not callable(endpoint):
            raise TypeError(f"supervised_route({action!r}) needs an endpoint, not {endpoint!r}")
        if _is_asgi(endpoint):
            wrapped: Any = RouteGuard(
                endpoint, action, payload=references, mode=mode, on_review=on_review,
                max_body_bytes=max_body_bytes, guard=guard, user=user, review_url=review_url,
            )  # fmt: skip
            return cast(F, wrapped)
        site = _Site(endpoint, Caller(rule, gate, user), Answers(review_url), own, guard)
        if isinstance(endpoint, type):
            wrapped = _class(endpoint, site)
        else:
            wrapped = functools.wraps(_named(endpoint))(_WRAPPERS[_kind(endpoint)](site))
            wrapped.__wrapped__ = endpoint
            if site.injects:
                wrapped.__signature__ = _with_connection(endpoint)
        return cast(F, register(wrapped, action, mode_of(rule)))

    return decorate


class _Site:
    """One decorated endpoint: how its calls are asked about, and how refusals are answered."""

    def __init__(
        self, endpoint: Any, caller: Caller, answers: Answers, payload: Callable[..., Any] | None, guard: Guard | None
    ) -> None:
        self.endpoint = endpoint
        self.caller = caller
        self._answers = answers
        self._guard = guard
        is_class = isinstance(endpoint, type)
        self._bind: Any = None
        if payload is not None:
            self._bind = lambda args, kwargs: payload(*args, **kwargs)
        elif caller.rule.references is None and not is_class:
            self._bind = binder(endpoint)
        self.injects = not is_class and not takes_connection(endpoint)

    def taken(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[HTTPConnection | None, Any]:
        """The call's connection, and the source of its payload. The connection that we asked for is taken out."""
        connection = kwargs.pop(_INJECTED, None) or connection_of(args, kwargs)
        bind = self._bind
        return connection, None if bind is None else lambda: bind(args, kwargs)

    def generated(self, connection: HTTPConnection | None, source: Any) -> Pass:
        """Ask about a generator's call, which can't be awaited."""
        return self.caller.ask_at_once(self._guard or get_guard(), connection, source)

    async def refuse(self, connection: HTTPConnection | None, passed: Pass) -> Any:
        """The answer for a refused call. Raises its error where nobody is there to be answered, or a handler is."""
        error = self.error(connection, passed)
        if isinstance(connection, WebSocket):
            await answer_websocket(connection, self._answers, error, self.caller.rule.action, passed.facts)
            return None
        return self.response(connection, passed)

    def response(self, connection: HTTPConnection | None, passed: Pass) -> Response:
        """The same for a plain function."""
        error = self.error(connection, passed)
        assert connection is not None
        refusal = self._answers.refusal(error, connection.scope, self.caller.rule.action, passed.facts)
        body = b"" if connection.scope.get("method") == "HEAD" else refusal.body
        return Response(body, refusal.status, dict(refusal.headers))

    def raised(self, connection: HTTPConnection | None, passed: Pass) -> Exception:
        """The same where only raising stops the call."""
        error = self.error(connection, passed)
        assert connection is not None
        return Refused(self._answers.refusal(error, connection.scope, self.caller.rule.action, passed.facts))

    def error(self, connection: HTTPConnection | None, passed: Pass) -> GuardError:
        """The error of a refused call, raised here where it isn't for us to answer."""
        assert passed.error is not None
        if connection is None or handles(connection.scope, passed.error):
            raise passed.error
        return passed.error


async def answer_websocket(
    websocket: WebSocket, answers: Answers, error: GuardError, action: str, facts: RequestFacts | None
) -> None:
    """Refuse a handshake that is not accepted yet."""
    refusal = answers.refusal(error, websocket.scope, action, facts)
    await Answering(refusal)(websocket.scope, websocket._receive, websocket._send)


def _coroutine(site: _Site) -> Callable[..., Any]:
    endpoint = site.endpoint

    async def guarded(*args: Any, **kwargs: Any) -> Any:
        connection, source = site.taken(args, kwargs)
        passed = await site.caller.ask(connection, source)
        if passed.gone:
            return Response(status_code=_CLIENT_GONE)
        if passed.error is not None:
            return await site.refuse(connection, passed)
        try:
            value = await endpoint(*args, **kwargs)
        except BaseException:
            await _ended(passed, "raised")
            raise
        await _ended(passed, "returned")
        return value

    return guarded


def _sync(site: _Site) -> Callable[..., Any]:
    endpoint = site.endpoint

    def guarded(*args: Any, **kwargs: Any) -> Any:
        connection, source = site.taken(args, kwargs)
        if connection is None or not _in_pool():
            passed = site.generated(connection, source)
        else:  # the loop does the waiting
            passed = anyio.from_thread.run(site.caller.ask, connection, source)
        if passed.gone:
            return Response(status_code=_CLIENT_GONE)
        if passed.error is not None:
            return site.response(connection, passed)
        try:
            value = endpoint(*args, **kwargs)
        except BaseException:
            _ended_in_thread(passed, "raised")
            raise
        _ended_in_thread(passed, "returned")
        return value

    return guarded


def _generator(site: _Site) -> Callable[..., Any]:
    endpoint = site.endpoint

    def guarded(*args: Any, **kwargs: Any) -> Any:
        connection, source = site.taken(args, kwargs)
        passed = site.generated(connection, source)
        if passed.error is not None:
            raise site.raised(connection, passed)
        return endpoint(*args, **kwargs)

    return guarded


_WRAPPERS = {"coroutine": _coroutine, "sync": _sync, "generator": _generator}


def _in_pool() -> bool:
    """Whether this is a thread of the application's pool, as for every plain endpoint that a server calls."""
    try:
        anyio.from_thread.check_cancelled()
    except RuntimeError:
        return False
    return True


async def _ended(passed: Pass, result: str) -> None:
    passed.settle(result)
    if passed.after is not None:
        await passed.after(result)


def _ended_in_thread(passed: Pass, result: str) -> None:
    passed.settle(result)
    if passed.after is not None:
        anyio.from_thread.run(passed.after, result)


def _class(endpoint: type[Any], site: _Site) -> type[Any]:
    """A class of the same name that asks before it dispatches."""
    base: Any = endpoint
    kind: Any = Request if issubclass(endpoint, HTTPEndpoint) else WebSocket

    async def dispatch(self: Any) -> None:
        if kind is Request and not has_handler(base, self.scope["method"]):
            await base.dispatch(self)
            return
        connection = kind(self.scope, self.receive, self.send)
        passed = await site.caller.ask(connection, None)
        self.receive = connection._receive
        if passed.gone:
            return
        if passed.error is not None:
            answer = await site.refuse(connection, passed)
            if answer is not None:
                await answer(self.scope, self.receive, self.send)
            return
        try:
            await base.dispatch(self)
        except BaseException:
            await _ended(passed, "raised")
            raise
        await _ended(passed, "returned")

    guarded = type(endpoint.__name__, (endpoint,), {"dispatch": dispatch})
    functools.update_wrapper(guarded, endpoint, updated=())
    return guarded


def _kind(endpoint: Any) -> str:
    target = endpoint
    while isinstance(target, functools.partial):
        target = target.func
    if not inspect.isroutine(target):
        target = type(target).__call__
    if inspect.isasyncgenfunction(target) or inspect.isgeneratorfunction(target):
        return "generator"
    return "coroutine" if inspect.iscoroutinefunction(target) else "sync"


def _is_asgi(endpoint: Any) -> bool:
    """Whether `endpoint` is an application by itself: a class of neither endpoint kind, or its instance."""
    if isinstance(endpoint, type):
        if issubclass(endpoint, (HTTPEndpoint, WebSocketEndpoint)):
            return False
        raise TypeError(f"{endpoint!r} is no HTTPEndpoint or WebSocketEndpoint: guard it with RouteGuard")
    if isinstance(endpoint, functools.partial) or inspect.isroutine(endpoint):
        return False
    return list(inspect.signature(endpoint).parameters) == ["scope", "receive", "send"]


def _named(endpoint: Any) -> Any:
    """What gives the wrapper its name: partials and objects have none of their own."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    return endpoint if inspect.isroutine(endpoint) else type(endpoint)


def _with_connection(endpoint: Any) -> inspect.Signature:
    """The endpoint's signature with one parameter more, which FastAPI fills and OpenAPI doesn't show."""
    signature = inspect.signature(endpoint)
    parameters = list(signature.parameters.values())
    extra = inspect.Parameter(_INJECTED, inspect.Parameter.KEYWORD_ONLY, annotation=HTTPConnection)
    last = len(parameters)
    if parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD:
        last -= 1
    parameters.insert(last, extra)
    return signature.replace(parameters=parameters)
