"""Asking the engine about a request. No verdict is made here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from supervisor_guards._context import Serving
from supervisor_guards._guard import Guard
from supervisor_guards._model import Entry
from supervisor_guards._web.facts import RequestFacts
from supervisor_guards._web.rules import RouteRule


def serving(facts: RequestFacts, approval: str | Sequence[str] | None = None) -> AbstractContextManager[None]:
    """Guarded calls in the block belong to the request of `facts`, and may use its approvals up."""
    if not approval:
        return Serving(facts.engine_facts(), ())
    return Serving(facts.engine_facts(), (approval,) if isinstance(approval, str) else tuple(approval))


def admit(
    guard: Guard,
    rule: RouteRule | str,
    facts: RequestFacts,
    payload_source: Callable[[], Any],
    *,
    approval: str | Sequence[str] | None = None,
) -> Entry:
    """Decide on the action of `rule` (or the action type itself) for the request of `facts`.

    `payload_source()` gives the payload, inside the engine: what it raises makes the payload unusable. `approval`
    are the action ids the request wants to use up. The entry's decision is None where the action is only
    observed; its `error` is what refuses. `entry.settle(...)` notes how the action ended.
    """
    with serving(facts, approval):
        return guard.admit(*_arguments(rule, facts, payload_source))


async def aadmit(
    guard: Guard,
    rule: RouteRule | str,
    facts: RequestFacts,
    payload_source: Callable[[], Any],
    *,
    approval: str | Sequence[str] | None = None,
) -> Entry:
    """`admit` for async callers."""
    with serving(facts, approval):
        return await guard.aadmit(*_arguments(rule, facts, payload_source))


def enforces(guard: Guard, rule: RouteRule | str) -> bool:
    """Whether the action may be refused, in `sample` or `enforce`: then its payload is needed before it runs."""
    action, on_review, mode = _terms(rule)
    return guard.config.terms(action, on_review=on_review, mode=mode, in_request=True).mode != "shadow"


def answers_at_once(guard: Guard) -> bool:
    """Whether no decision waits for anything before the action may run: judged in the process, recorded later.

    Nothing is lost then by not watching whether the client is still there.
    """
    return guard.config.audit == "async" and getattr(guard.supervisor, "in_process", False) is True


def _terms(rule: RouteRule | str) -> tuple[str, str | None, str | None]:
    return (rule, None, None) if isinstance(rule, str) else (rule.action, rule.on_review, rule.mode)


def _arguments(rule: RouteRule | str, facts: RequestFacts, payload_source: Callable[[], Any]) -> tuple[Any, ...]:
    action, on_review, mode = _terms(rule)
    sample_key = None if isinstance(rule, str) else rule.sample_key(facts)
    return action, lambda args, kwargs: payload_source(), (), {}, on_review, mode, None, sample_key
