"""The default guard: what `configure` makes, or the first guarded call, from the environment."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from supervisor_guards._config import GuardConfig
from supervisor_guards._guard import Guard
from supervisor_guards._ids import new_action_id
from supervisor_guards._model import Action, Entry, Snapshot

logger = logging.getLogger("supervisor_guards")

_lock = threading.RLock()
_guard: Guard | None = None
_provider: Callable[[], Guard] | None = None
_provided: Guard | None = None
_provisions = 0
"""How often `provide_guard` was called: what a provider made before is out of date after."""
_provided_settings: Callable[[], GuardConfig] | None = None
_finders: dict[Callable[[], Guard | None], Callable[[], GuardConfig | None]] = {}
AGAIN_SECONDS = 5.0
"""How long calls in shadow don't try again to make a guard that couldn't be made: trying may take time."""
_unmade: tuple[GuardConfig | None, float] | None = None
"""The settings that no guard could be made of, None for the environment, and when a call in shadow may try again."""
_failure: Exception | None = None
"""How the last attempt ended, for those who waited for it."""
_told: str | None = None
"""What was logged of that."""
_UNREADABLE = GuardConfig(enforcement_mode="enforce")
"""Stands for settings that can't be had: nothing is in shadow by them."""


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


class Unguarded:
    """In the place of a guard that can't be made: calls in shadow run, and nothing is recorded."""

    def admit(self, action_type: str, *call: Any) -> Entry:
        """What the caller settles."""
        now = time.time()
        return Entry(Action(new_action_id(now), action_type, Snapshot(b"{}"), now))

    async def aadmit(self, action_type: str, *call: Any) -> Entry:
        """`admit` for async callers."""
        return self.admit(action_type)


_UNGUARDED = Unguarded()


def guard_for(action_type: str, on_review: str | None) -> Guard | Unguarded:
    """`get_guard` for one call; where none can be made and the call is in shadow, what lets it run unrecorded.

    Raises what `get_guard` does where the call is enforced, or may be meant to be.
    """
    if _unmade is not None and _passes(action_type, on_review):
        return _UNGUARDED
    try:
        found = get_guard()
    except Exception as error:
        settings = _written()
        if not _in_shadow(settings, action_type, on_review):
            raise
        _note(settings, error)
        return _UNGUARDED
    if _unmade is not None:
        _forget()
    return found


def find_guard(finder: Callable[[], Guard | None], settings: Callable[[], GuardConfig | None] = lambda: None) -> None:
    """For adapters with a guard for each application: `finder` names that of the application served here and now.

    It answers None where none is. What it raises reaches the guarded call, unless that is in shadow by `settings`:
    those that the guard of here and now is made of.
    """
    _finders.setdefault(finder, settings)


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
            shadow_only=tuple(problems),
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
        _forget()
    if former is not None and former is not guard:
        former.close()


def provide_guard(provider: Callable[[], Guard] | None, settings: Callable[[], GuardConfig] | None = None) -> None:
    """For adapters: make the default guard by `provider`, on first use, where `configure` wasn't called.

    A default guard that a provider has made is closed, and made anew on its next use: so settings stay live. None
    goes back to the environment. `settings` are those that it is made of: where it can't be made, they say which
    calls are in shadow.
    """
    global _guard, _provided, _provided_settings, _provider, _provisions
    with _lock:
        _provisions += 1
        _provider, former, _provided = provider, _provided, None
        _provided_settings = settings
        if _guard is former:
            _guard = None
        _forget()
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
        _forget()
    try:
        yield
    finally:
        with _lock:
            left = _guard
            outdated = provided if provisions != _provisions else None
            _guard, _provided = (None, None) if outdated is not None and before is outdated else (before, provided)
            _forget()
        for each in {left, outdated} - {None, _guard}:
            each.close()  # type: ignore[union-attr]


def _made() -> Guard:
    global _guard, _provided, _failure
    former = _failure
    with _lock:
        if _guard is None and _failure is not None and _failure is not former:
            raise _failure  # attempts may take long: who waited for one doesn't make another
        try:
            if _guard is None and _provider is not None:
                _guard = _provided = _provider()
            if _guard is None:
                _guard = make_guard(GuardConfig.load())
        except Exception as error:
            _failure = error
            raise
        _forget()
        return _guard


def _written() -> GuardConfig | None:
    """The settings that the guard of here and now is made of; None where that is the environment."""
    try:
        for settings in _finders.values():
            found = settings()
            if found is not None:
                return found
        return _provided_settings() if _provided_settings is not None else None
    except Exception:
        return _UNREADABLE  # why no guard could be made says more


def _in_shadow(settings: GuardConfig | None, action_type: str, on_review: str | None) -> bool:
    return on_review == "shadow" or (settings or GuardConfig.load()).surely_shadow(action_type)


def _passes(action_type: str, on_review: str | None) -> bool:
    """Whether a call runs without another attempt: it is in shadow, and the last one failed, or began, a moment ago."""
    global _unmade
    settings, until = _unmade or (None, 0.0)
    if _written() is not settings or not _in_shadow(settings, action_type, on_review):
        return False
    now = time.monotonic()
    if now < until:
        return True
    _unmade = (settings, now + AGAIN_SECONDS)  # this call tries; nobody waits for it
    return False


def _note(settings: GuardConfig | None, error: Exception) -> None:
    global _unmade, _told
    _unmade = (settings, time.monotonic() + AGAIN_SECONDS)
    if _told != str(error):
        _told = str(error)
        logger.error("no guard can be made, so calls in shadow run unrecorded; mend it: %s", error, exc_info=error)


def _forget() -> None:
    global _unmade, _told, _failure
    _unmade = _told = _failure = None


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # the parent's may be held by a thread that the child doesn't have


os.register_at_fork(after_in_child=_after_fork)
