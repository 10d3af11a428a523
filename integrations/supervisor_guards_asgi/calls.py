"""One call of a guarded endpoint: its connection among the arguments, its payload, the question to the engine."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from supervisor_guards import Guard
from supervisor_guards.errors import GuardError
from supervisor_guards.web import (
    UNKNOWN,
    Body,
    Entry,
    RequestFacts,
    RouteRule,
    admit,
    approvals,
    at_once,
    checked_user,
    enforced,
    no_guard,
    parse_body,
)
from supervisor_guards_asgi.asking import Given
from supervisor_guards_asgi.bodies import Prefix, Watch, body_of, form_fields
from supervisor_guards_asgi.evaluation import Gate
from supervisor_guards_asgi.facts import UserResolver, facts_of, header_values, headers_of
from supervisor_guards_asgi.guards import place_of, state_of

_CONNECTIONS = ("Request", "WebSocket", "HTTPConnection")
_NOT_PAYLOAD = (HTTPConnection, Response, BackgroundTasks)
Source = Callable[[], Any]


class Pass(msgspec.Struct):
    """What became of a call: `error` refuses it; `after` observes it once it is over."""

    error: GuardError | None = None
    facts: RequestFacts | None = None
    entries: Sequence[Entry] = ()
    gone: bool = False
    after: Callable[[Any], Any] | None = None

    def settle(self, result: Any) -> None:
        """Note how the call ended."""
        for entry in self.entries:
            entry.settle(result)


class Caller:
    """Asks about the calls of one decorated endpoint."""

    def __init__(self, rule: RouteRule, gate: Gate, user: UserResolver) -> None:
        self.rule = rule
        self._gate = gate
        self._user = user

    async def ask(self, connection: HTTPConnection | None, source: Source | None) -> Pass:
        """Decide on a call. `source` makes the payload of its arguments; None means that the request is the payload."""
        try:
            guard = await self._gate.guard()
        except Exception as error:
            return Pass(no_guard(error)) if self._gate.may_refuse([self.rule]) else Pass()
        if connection is None:
            rule, make = self.rule, source or _no_request
            return _passed(
                await guard.aadmit(rule.action, lambda args, kwargs: make(), (), {}, rule.on_review, rule.mode)
            )
        try:
            held = await _held_body(connection, self.rule) if source is None else Body("unread")
        except Exception as error:
            held, source = Body("streamed"), functools.partial(_raise, error)
        given = None if held is None else Given(held, source)
        if enforced(guard, [self.rule])[0]:
            return await self._enforced(guard, connection, given)
        return await self._observed(guard, connection, given)

    async def _enforced(self, guard: Guard, connection: HTTPConnection, given: Given | None) -> Pass:
        scope = connection.scope
        state = state_of(scope)
        known = len(state.entries)
        prefix = Prefix(_receive(connection))
        ruling = await self._gate.rule_on(guard, [self.rule], scope, prefix, place_of(scope), state, given)
        connection._receive = prefix  # type: ignore[attr-defined] # the endpoint reads what was read for the payload
        return Pass(ruling.error, ruling.facts, state.entries[known:], ruling.gone)

    async def _observed(self, guard: Guard, connection: HTTPConnection, given: Given | None) -> Pass:
        scope = connection.scope
        state, place = state_of(scope), place_of(scope)
        if given is not None:
            entry = await self._gate.observe_call(guard, self.rule, scope, place, state, given)
            return Pass(entries=[] if entry is None else [entry])
        watch = Watch(_receive(connection), self.rule.max_body_bytes)
        connection._receive = watch  # type: ignore[attr-defined]
        seen_by_us = dict(scope)
        return Pass(
            after=lambda result: self._gate.observe(guard, [self.rule], seen_by_us, watch, place, state, result)
        )

    def ask_at_once(self, guard: Guard, connection: HTTPConnection | None, source: Source | None) -> Pass:
        """`ask` where nothing can be awaited: a generator's call. A review isn't waited for.

        Without a `source` the payload would have to be read from the request, which can't be done here.
        """
        source = source or _no_request
        rule = at_once(guard, self.rule)
        if connection is None:
            return _passed(guard.admit(rule.action, lambda args, kwargs: source(), (), {}, rule.on_review, rule.mode))
        may_refuse = bool(enforced(guard, [rule])[0])
        try:
            ids = approvals(header_values(connection.scope, b"supervisor-approval"))
        except GuardError as error:
            if may_refuse:
                return Pass(error)
            ids = ()
        make, user = source, UNKNOWN
        try:
            user = checked_user(self._user(connection))
        except Exception as error:
            make = functools.partial(_raise, error)
        facts = facts_of(connection.scope, place_of(connection.scope), Body("unread"), user)
        entry = admit(guard, rule, facts, make, approval=ids)
        state_of(connection.scope).add(entry)
        return _passed(entry, facts)


def connection_of(args: Sequence[Any], kwargs: dict[str, Any]) -> HTTPConnection | None:
    """The call's request or websocket."""
    return next((one for one in (*args, *kwargs.values()) if isinstance(one, HTTPConnection)), None)


def binder(function: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], Any] | None:
    """How calls of `function` become a payload by name; None where they bring nothing but the connection."""
    signature = inspect.signature(function)
    data = [one for one in signature.parameters.values() if one.name not in ("self", "cls")]
    if len(data) <= 1 and not any(is_data(function, one) for one in data):
        return None
    return functools.partial(_bound, signature)


def takes_connection(function: Any) -> bool:
    """Whether calls of `function` bring the connection: by its annotation, or as Starlette's only argument."""
    hints = _hints(function)
    parameters = inspect.signature(function).parameters.values()
    if any(_is_connection(hints.get(one.name)) for one in parameters):
        return True
    return bool(parameters) and not any(is_data(function, one) for one in parameters if one.name not in ("self", "cls"))


def is_data(function: Any, parameter: inspect.Parameter) -> bool:
    """Whether `parameter` is more than the connection of a Starlette endpoint, which needs no annotation."""
    hint = _hints(function).get(parameter.name)
    if hint is not None:
        return not _is_connection(hint)
    return parameter.name not in ("request", "websocket", "connection", "ws", "_")


def _hints(function: Any) -> dict[str, Any]:
    target = function
    while isinstance(target, functools.partial):
        target = target.func
    if not inspect.isroutine(target) and not inspect.isclass(target):
        target = type(target).__call__
    try:
        return typing.get_type_hints(target)
    except Exception:  # names that only a type checker knows
        return dict(getattr(target, "__annotations__", {}))


def _is_connection(hint: Any) -> bool:
    if isinstance(hint, str):
        return hint.rpartition(".")[2] in _CONNECTIONS
    # To Python 3.10 `dict[str, int]` is a type, but none that has a base class.
    return isinstance(hint, type) and typing.get_origin(hint) is None and issubclass(hint, HTTPConnection)


def _bound(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return {
        name: value
        for name, value in bound.arguments.items()
        if name not in ("self", "cls") and not isinstance(value, _NOT_PAYLOAD)
    }


async def _held_body(connection: HTTPConnection, rule: RouteRule) -> Body | None:
    """The body where the framework has read it already; None where it is still to come."""
    if not isinstance(connection, Request) or not rule.reads_body:
        return None
    headers = headers_of(connection.scope)
    form = getattr(connection, "_form", None)
    if hasattr(connection, "_body"):
        return await body_of(connection._body, True, headers, rule.max_body_bytes, connection.scope)
    if form is not None:
        fields, files = await form_fields(form)
        content_type = next((value for name, value in headers if name == "content-type"), "")
        return parse_body(None, content_type, form=fields, files=files)
    return Body("streamed") if getattr(connection, "_stream_consumed", False) else None


def _receive(connection: HTTPConnection) -> Any:
    return connection._receive  # type: ignore[attr-defined]


def _passed(entry: Entry, facts: RequestFacts | None = None) -> Pass:
    error: Any = entry.decision.error if entry.decision is not None else None
    return Pass(error, facts, [entry])


def _no_request() -> Any:
    raise LookupError("the payload is made from the request, and there is none that could be read here")


def _raise(error: Exception) -> Any:
    raise error
