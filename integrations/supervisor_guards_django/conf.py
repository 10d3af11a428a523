"""The dict `SUPERVISOR_GUARDS` of a project's settings, read on first use and again whenever tests override it."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from django.conf import settings
from django.core.signals import setting_changed

from supervisor_guards import Guard, get_guard
from supervisor_guards.web import SETTING, WebSettings, make_guard, provide_guard, read_settings
from supervisor_guards_django.signals import announce

_current: WebSettings | None = None


def current() -> WebSettings:
    """The settings in use."""
    global _current
    found = _current
    if found is None:
        found = _current = read_settings(getattr(settings, SETTING, None))
    return found


def guard() -> Guard:
    """The guard of these settings, or the one that `configure` made.

    Raises `ConfigurationError` where it can't be made and more than shadow is asked for.
    """
    provide()
    return get_guard()


async def aguard() -> Guard:
    """`guard` for async callers: making it opens policy and store, once, off the event loop."""
    global _warm
    if not _warm:
        await anyio.to_thread.run_sync(guard)
        _warm = True
    return guard()


def provide() -> None:
    """Let the default guard come from these settings: the plain decorators then use them too."""
    global _providing
    if not _providing:
        _providing = True
        provide_guard(_make)


def withdraw() -> None:
    """Let the default guard come from the environment again: for tests of several frameworks in one process."""
    global _providing, _warm
    _providing = _warm = False
    provide_guard(None)


_providing = False
_warm = False


def _make() -> Guard:
    made = make_guard(current().config, SETTING)
    made.add_hook(announce)
    return made


def _changed(*, setting: str, **kwargs: Any) -> None:
    global _current, _warm
    if setting == SETTING:
        _current, _warm = None, False
        if _providing:
            provide_guard(_make)


setting_changed.connect(_changed, dispatch_uid="supervisor_guards_django.conf")
