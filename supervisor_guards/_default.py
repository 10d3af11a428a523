"""The default guard: what `configure` makes, or the first guarded call, from the environment."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from supervisor_guards._config import GuardConfig
from supervisor_guards._guard import Guard

logger = logging.getLogger("supervisor_guards")

_lock = threading.RLock()
_guard: Guard | None = None
_provider: Callable[[], Guard] | None = None
_provided: Guard | None = None
_provisions = 0
"""How often `provide_guard` was called: what a provider made before is out of date after."""
_finders: list[Callable[[], Guard | None]] = []


def get_guard() -> Guard:
    """The guard that module-level functions act on; made from the environment if `configure` wasn't called.

    Raises `ConfigurationError` when the environment is wrong and asks for more than shadow. Where it asks for
    shadow, its faults are logged and the defaults serve: in shadow nothing of ours reaches a caller. Where an
    application with a guard of its own is being served, it is that one.
    """
    for finder in _finders:
        found = finder()
        if found is not None:
            return found
    return _guard or _made()


def find_guard(finder: Callable[[], Guard | None]) -> None:
    """For adapters with a guard for each application: `finder` names that of the application served here and now.

    It answers None where none is. What it raises reaches the guarded call.
    """
    if finder not in _finders:
        _finders.append(finder)


def make_guard(config: GuardConfig, where: str = "the settings") -> Guard:
    """A guard of `config`; `where` is said to be mended where it has faults.

    Raises `ConfigurationError` for faults where more than shadow is asked for; in shadow they are logged, and the
    defaults serve.
    """
    problems = config.problems()
    if problems and config.enforcement_mode == "shadow" and not config.enforces:
        logger.error("running in shadow on defaults; mend %s: %s", where, "; ".join(problems))
        config = GuardConfig(
            app_id=config.app_id,
            policy=config.policy,
            database_url=config.database_url,
            migrated_by=config.migrated_by,
            state_dir=config.state_dir,
        )
    else:
        config.warn()
    return Guard(config)


def made() -> Guard | None:
    """The default guard, if it was made already."""
    return _guard


def set_guard(guard: Guard | None) -> None:
    """Make `guard` the default one; the former is closed."""
    global _guard
    with _lock:
        former, _guard = _guard, guard
    if former is not None and former is not guard:
        former.close()


def provide_guard(provider: Callable[[], Guard] | None) -> None:
    """For adapters: make the default guard by `provider`, on first use, where `configure` wasn't called.

    A default guard that a provider has made is closed, and made anew on its next use: so settings stay live. None
    goes back to the environment.
    """
    global _guard, _provided, _provider, _provisions
    with _lock:
        _provisions += 1
        _provider, former, _provided = provider, _provided, None
        if _guard is former:
            _guard = None
    if former is not None:
        former.close()


@contextlib.contextmanager
def set_apart(guard: Guard | None) -> Iterator[None]:
    """For tests: `guard` is the default one for the length of the block; with None, one made on first use.

    The default guard that was there stays open meanwhile and comes back. What the block leaves is closed.
    """
    global _guard, _provided
    with _lock:
        before, provided, provisions = _guard, _provided, _provisions
        _guard, _provided = guard, None
    try:
        yield
    finally:
        with _lock:
            left = _guard
            outdated = provided if provisions != _provisions else None
            _guard, _provided = (None, None) if outdated is not None and before is outdated else (before, provided)
        for each in {left, outdated} - {None, _guard}:
            each.close()  # type: ignore[union-attr]


def _made() -> Guard:
    global _guard, _provided
    with _lock:
        if _guard is None and _provider is not None:
            _guard = _provided = _provider()
        if _guard is None:
            _guard = make_guard(GuardConfig.load())
        return _guard
