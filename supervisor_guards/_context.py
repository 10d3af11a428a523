"""Who acts, and why: what the application says (`observing`), and what an adapter knows (`acting`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from supervisor_guards._payload import decode, snapshot


class Observed(msgspec.Struct, frozen=True):
    """What `observing` set: the values as given, and as plain data at that moment."""

    values: Mapping[str, Any]
    plain: Mapping[str, Any]


class Facts(msgspec.Struct, frozen=True):
    """What an adapter knows for sure about the request being served; `observing` can't overwrite it."""

    subject: str | None = None
    route: str | None = None
    request: Mapping[str, Any] | None = None
    tenant: str | None = None


_observed: ContextVar[Observed | None] = ContextVar("supervisor_guards_observed", default=None)
_facts: ContextVar[Facts | None] = ContextVar("supervisor_guards_facts", default=None)
_approval: ContextVar[tuple[str, ...] | None] = ContextVar("supervisor_guards_approval", default=None)


def _merged(context: Mapping[str, Any]) -> Observed:
    current = _observed.get()
    values = {**(current.values if current else {}), **context}
    return Observed(values, decode(snapshot(values)))


def observe(**context: Any) -> None:
    """Add `context` to what guarded calls of this task or thread record; without arguments, forget it all."""
    _observed.set(_merged(context) if context else None)


@contextmanager
def observing(**context: Any) -> Iterator[None]:
    """Add `context` for the length of the block: `with observing(user_id="u-1", goal="pay the bill"): ...`."""
    token = _observed.set(_merged(context))
    try:
        yield
    finally:
        _observed.reset(token)


def current_context() -> dict[str, Any] | None:
    """What `observe` and `observing` set here, or None."""
    current = _observed.get()
    return dict(current.values) if current else None


@contextmanager
def acting(facts: Facts) -> Iterator[None]:
    """For adapters: guarded calls in the block belong to the request that `facts` describe."""
    token = _facts.set(facts)
    try:
        yield
    finally:
        _facts.reset(token)


@contextmanager
def approved(*action_ids: str) -> Iterator[None]:
    """Run a held action whose review was approved: `with approved(action_id): refund(...)`.

    The next guarded call in the block whose verdict is review uses the approval up: once, and only for the
    payload, action type and subject that were approved. Of several, each guarded call takes the one that is its
    own. Raises what is wrong from the guarded call: `ApprovalInvalid`, `ApprovalUsed`; a deny of today's policy
    still wins. Without any, an approval of an outer block doesn't hold here.
    """
    token = _approval.set(action_ids)
    try:
        yield
    finally:
        _approval.reset(token)


class Serving:
    """`acting` and `approved` at once, for every request an adapter serves: a class costs a fifth of two generators."""

    __slots__ = ("_approval", "_approvals", "_facts", "_given")

    def __init__(self, facts: Facts, approvals: tuple[str, ...]) -> None:
        self._given = facts
        self._approvals = approvals

    def __enter__(self) -> None:
        self._facts = _facts.set(self._given)
        # Most requests bring no approval, and most are inside no other block that has one.
        nothing = not self._approvals and _approval.get() is None and not _finders
        self._approval = None if nothing else _approval.set(self._approvals)

    def __exit__(self, *raised: object) -> None:
        if self._approval is not None:
            _approval.reset(self._approval)
        _facts.reset(self._facts)


RequestFinder = Callable[[], "tuple[Any, tuple[str, ...]] | None"]
"""Answers what a framework knows of the request it serves here and now, and its approvals; None outside of one."""

_finders: list[RequestFinder] = []


def find_request(finder: RequestFinder) -> None:
    """For adapters whose framework keeps the current request itself: `finder` is asked where nothing else is said.

    So such an adapter sets nothing for requests in which no guard asks. What it answers for the facts is read by
    attribute only, as `Facts`.
    """
    if finder not in _finders:
        _finders.append(finder)


def _found() -> tuple[Any, tuple[str, ...]] | None:
    for finder in _finders:
        found = finder()
        if found is not None:
            return found
    return None


def current_facts() -> Facts | None:
    """What an adapter knows of the request being served; None outside of one."""
    facts = _facts.get()
    if facts is None and _finders:
        found = _found()
        return None if found is None else found[0]
    return facts


def current_approval() -> tuple[str, ...] | None:
    """The approvals that guarded calls may use up here, or None."""
    given = _approval.get()
    if given is None and _finders:
        found = _found()
        given = None if found is None else found[1]
    return given or None


current_observed = _observed.get
