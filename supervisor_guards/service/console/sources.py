"""What a console shows: an embedded guard's record, or the service's. Database work runs in worker threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio
import anyio.to_thread
import msgspec
from anyio.lowlevel import RunVar

from supervisor_guards._desk import Desk
from supervisor_guards._guard import Guard
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor
from supervisor_guards.policy.engine import PolicySet
from supervisor_guards.service.principals import Role

if TYPE_CHECKING:
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

__all__ = ["GuardSource", "PolicyText", "Section", "Source"]

T = TypeVar("T")
_THREADS = 4
_LOOK_SECONDS = 1.0


class PolicyText(msgspec.Struct, frozen=True):
    """A version of a policy document, and where it came from."""

    label: str
    origin: str
    text: str | None


Section = tuple[str, str, str, Role]
"""What a page calls itself, its place, what people call it, and the role that it takes."""


class Source(Protocol):
    """Where a console reads and decides."""

    patience: float
    """Seconds that a live stream lasts before the browser asks anew: who looks is then known again."""
    sections: Sequence[Section]
    """Pages beside those that every console has."""

    def desk(self) -> Desk:
        """Where people read decisions and decide reviews. Blocks."""
        ...

    def store(self) -> Store | MemoryStore | None:
        """The record with its roll-ups and evidence; None where it is kept elsewhere. Blocks."""
        ...

    def policies(self, *, shadow: bool) -> PolicySet | None:
        """The policies in force; None where another process has them. Blocks."""
        ...

    def policy_text(self, hash_: str) -> PolicyText | None:
        """The document of this hash, if it is known here. Blocks."""
        ...

    def application(self, app_id: str) -> str:
        """What people call the application of this id. Blocks."""
        ...

    async def reading(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """`call(...)`, which blocks, in a worker thread."""
        ...

    def seen(self) -> int:
        """How many changes were heard of: to be remembered before one looks."""
        ...

    async def changed(self, seen: int, seconds: float) -> bool:
        """Sleep until decisions may have been recorded since `seen`, at most `seconds`; False once the process ends."""
        ...


class GuardSource:
    """The record of a guard in this process, or of a service as its reviewer's token shows it."""

    # A server that stops waits for its streams, and tells nobody in the application.
    patience = 15.0
    sections: Sequence[Section] = ()

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def desk(self) -> Desk:
        """The guard's. Raises `NoDesk`, `SupervisorUnavailable`."""
        return self._guard.desk()

    def store(self) -> Store | MemoryStore | None:
        """The embedded supervisor's. Raises `SupervisorUnavailable`."""
        supervisor = self._guard.supervisor
        return supervisor.store if isinstance(supervisor, EmbeddedSupervisor) else None

    def policies(self, *, shadow: bool) -> PolicySet | None:
        """The embedded supervisor's. Raises `ConfigurationError`."""
        supervisor = self._guard.supervisor
        return supervisor.policy.current() if isinstance(supervisor, EmbeddedSupervisor) else None

    def policy_text(self, hash_: str) -> PolicyText | None:
        """The file that is in force, if it is this one: earlier versions aren't kept."""
        policies = self.policies(shadow=True)
        for policy in policies.policies if policies is not None else ():
            if policy.hash == hash_:
                return PolicyText(policy.label, f"{policy.file}, line {policy.line}, in force", policy.source)
        return None

    def application(self, app_id: str) -> str:
        """Its id: there is one application, or the service knows its name."""
        return app_id

    async def reading(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """On threads of the console's own: the application's pool stays its own."""
        return await anyio.to_thread.run_sync(partial(call, *args, **kwargs), limiter=_limiter())

    def seen(self) -> int:
        """0: nothing is heard."""
        return 0

    async def changed(self, seen: int, seconds: float) -> bool:
        """A look every second: what other processes record is seen by nothing else."""
        await anyio.sleep(min(seconds, _LOOK_SECONDS))
        return True


_kept: RunVar[anyio.CapacityLimiter] = RunVar("supervisor_guards_console")


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _kept.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_THREADS)
        _kept.set(limiter)
        return limiter
