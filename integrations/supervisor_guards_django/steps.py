"""What waits while a request is judged, each kind once: performed in a thread, or awaited on the event loop.

The judging itself is a generator that yields these (`judging`); it is the same for WSGI and ASGI.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

import msgspec

from supervisor_guards import Guard
from supervisor_guards.web import (
    UNKNOWN,
    Entry,
    RequestFacts,
    RouteRule,
    User,
    aadmit,
    admit,
    apayload_source,
    payload_source,
)
from supervisor_guards_django import conf, users

logger = logging.getLogger("supervisor_guards")

R = TypeVar("R")
Sender = tuple[User, Exception | None]


class Step(Protocol):
    """Something that waits. Its reply, or its error, goes back into the generator."""

    def perform(self) -> Any:
        """Do it in this thread."""
        ...

    async def aperform(self) -> Any:
        """Do it on the event loop."""
        ...


Flow = Generator[Step, Any, R]


class GuardInUse(msgspec.Struct, frozen=True):
    """The guard to ask. Made on first use, which opens policy and store: off the event loop."""

    def perform(self) -> Guard:
        return conf.guard()

    async def aperform(self) -> Guard:
        return await conf.aguard()


class WhoSent(msgspec.Struct, frozen=True):
    """The request's sender, and the resolver's error where it failed: then the request can't be judged."""

    request: Any

    def perform(self) -> Sender:
        try:
            return users.resolve(self.request, conf.current().user_resolver), None
        except Exception as error:
            return _unknown(error)

    async def aperform(self) -> Sender:
        try:
            return await users.aresolve(self.request, conf.current().user_resolver), None
        except Exception as error:
            return _unknown(error)


class WhoHadSent(msgspec.Struct, frozen=True):
    """The same once the view has run, which had `before`. It leaves no trace on the session."""

    request: Any
    before: users.Before | None = None

    def perform(self) -> Sender:
        try:
            return users.peek(self.request, conf.current().user_resolver, self.before), None
        except Exception as error:
            return _unknown(error)

    async def aperform(self) -> Sender:
        try:
            return await users.apeek(self.request, conf.current().user_resolver, self.before), None
        except Exception as error:
            return _unknown(error)


class Ask(msgspec.Struct, frozen=True):
    """The engine's word on one rule. A `source` stands before the payload that the rule makes of the request."""

    guard: Guard
    rule: RouteRule
    facts: RequestFacts
    request: Any
    approval: tuple[str, ...] = ()
    source: Callable[[], Any] | None = None

    def perform(self) -> Entry:
        source = self.source or payload_source(self.rule, self.facts, self.request)
        return admit(self.guard, self.rule, self.facts, source, approval=self.approval)

    async def aperform(self) -> Entry:
        source = self.source or await apayload_source(self.rule, self.facts, self.request)
        return await aadmit(self.guard, self.rule, self.facts, source, approval=self.approval)


def drive(flow: Flow[R]) -> R:
    """Run `flow` in this thread."""
    try:
        step = next(flow)
        while True:
            try:
                reply = step.perform()
            except Exception as error:
                step = flow.throw(error)
            else:
                step = flow.send(reply)
    except StopIteration as stop:
        return stop.value
    finally:
        flow.close()


async def adrive(flow: Flow[R]) -> R:
    """Run `flow` on the event loop."""
    try:
        step = next(flow)
        while True:
            try:
                reply = await step.aperform()
            except Exception as error:
                step = flow.throw(error)
            else:
                step = flow.send(reply)
    except StopIteration as stop:
        return stop.value
    finally:
        flow.close()


def _unknown(error: Exception) -> Sender:
    logger.error("the user resolver failed, so the request can't be judged", exc_info=error)
    return UNKNOWN, error
