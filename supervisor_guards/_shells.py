"""The two shells that perform a flow's effects, and what each effect means for a supervisor.

`run` and `arun` hold no branch beyond passing replies and errors back; neither does a twin below.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from supervisor_guards._flow import Evaluate, Flow, Recheck, Record, Redeem, Wait
from supervisor_guards._model import Action, Supervisor

R = TypeVar("R")
Perform = Callable[[Any], Any]
APerform = Callable[[Any], Awaitable[Any]]


def run(flow: Flow[R], perform: Perform) -> R:
    """Drive `flow` to its end. Cancellation (`BaseException`) closes it and passes on."""
    try:
        effect = next(flow)
        while True:
            try:
                reply = perform(effect)
            except Exception as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(reply)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        flow.close()


async def arun(flow: Flow[R], perform: APerform) -> R:
    """`run`, awaiting each effect."""
    try:
        effect = next(flow)
        while True:
            try:
                reply = await perform(effect)
            except Exception as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(reply)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        flow.close()


def performing(supervisor: Supervisor) -> Perform:
    """How a sync caller performs effects on `supervisor`."""
    table: Mapping[type, Perform] = {
        Evaluate: lambda effect: supervisor.evaluate(effect.action, False),
        Recheck: _asking(supervisor.review, supervisor),
        Wait: lambda effect: time.sleep(effect.seconds),
        Redeem: lambda effect: supervisor.redeem(*_claimed(supervisor, effect), **_claim(effect.action)),
        Record: lambda effect: supervisor.record([effect.entry]),
    }
    return lambda effect: table[type(effect)](effect)


def aperforming(supervisor: Supervisor) -> APerform:
    """`performing` for async callers: what waits does so off the event loop, or on its clock."""
    table: Mapping[type, APerform] = {
        Evaluate: lambda effect: supervisor.aevaluate(effect.action, False),
        Recheck: _asking(supervisor.areview, supervisor),
        Wait: lambda effect: _asleep(effect.seconds),
        Redeem: lambda effect: supervisor.aredeem(*_claimed(supervisor, effect), **_claim(effect.action)),
        Record: lambda effect: _arecord(supervisor, effect),
    }
    return lambda effect: table[type(effect)](effect)


def _asking(review: Callable[..., Any], supervisor: Supervisor) -> Perform:
    """How to ask where a review stands: some supervisors can keep the question until something changes."""
    if getattr(supervisor, "holds_questions", False) is True:
        return lambda effect: review(effect.action_id, effect.hold)
    return lambda effect: review(effect.action_id)


def _claimed(supervisor: Supervisor, effect: Redeem) -> tuple[str, str, str | None]:
    return effect.action_id, supervisor.digest(effect.action), effect.action.subject


def _claim(action: Action) -> dict[str, Any]:
    return {"action_type": action.action_type, "route": action.route, "tenant": action.tenant}


async def _asleep(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)


async def _arecord(supervisor: Supervisor, effect: Record) -> None:
    import anyio.to_thread

    await anyio.to_thread.run_sync(supervisor.record, [effect.entry])
