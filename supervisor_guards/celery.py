"""For Celery: tasks run with the context they were sent in. Import it where the Celery application is made.

>>> from celery import Celery
>>> from supervisor_guards.celery import carry_context
>>> app = Celery("shop")
>>> carry_context()

In the process that sends as well as in the worker. A message is trusted as far as the broker is.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from celery import signals

from supervisor_guards._carrying import export_context, kept_context, restored_context
from supervisor_guards._default import made

logger = logging.getLogger("supervisor_guards")

HEADER = "supervisor_guards"
"""The header of a task's message."""

_Blocks = tuple[AbstractContextManager[None], ...]
_open: ContextVar[_Blocks] = ContextVar("supervisor_guards_celery", default=())
"""What to leave once the tasks of this thread have ended: several where one calls another eagerly."""


def carry_context() -> None:
    """Let every task carry the context, approvals and request that it is sent with, and run with just these.

    For all applications of this process; to call it again does no more. What a task sets with `observe` is forgotten
    when it ends, however it ends. A worker's child process stores its decisions before it exits.
    """
    for signal, receiver in (
        (signals.before_task_publish, _publish),
        (signals.task_prerun, _begin),
        (signals.task_postrun, _end),
        (signals.worker_process_shutdown, _store),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"{__name__}.{receiver.__name__}")


def _publish(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Add the header, or take away one that somebody else has set: who acts is ours to say."""
    if headers is None:
        return
    headers.pop(HEADER, None)
    text = export_context()
    if text is not None:
        headers[HEADER] = text


def _begin(task: Any = None, **_: Any) -> None:
    block = kept_context() if task.request.is_eager else _carried(task)
    block.__enter__()
    _open.set((*_open.get(), block))


def _end(**_: Any) -> None:
    *outer, block = _open.get()
    _open.set(tuple(outer))
    block.__exit__(None, None, None)


def _carried(task: Any) -> restored_context:
    try:
        return restored_context(task.request.get(HEADER))
    except ValueError as error:
        logger.error("the task %s runs without the context it was sent with: %s", task.name, error)
        return restored_context(None)


def _store(**_: Any) -> None:
    """Celery ends its child processes without `atexit`, and what is queued would be lost."""
    guard = made()
    if guard is not None:
        guard.close()
