"""The settings of one application: `app.config["SUPERVISOR_GUARDS"]`, `SUPERVISOR_*` keys, the environment."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from supervisor_guards import GuardConfig
from supervisor_guards.web import SETTING, WebSettings, blocks, read_settings

PREFIX = "SUPERVISOR_"
OWN_KEYS = ("RAISE_ERRORS",)
"""What only this adapter has."""
_VARIABLES = frozenset(str(field.metadata.get("env")) for field in dataclasses.fields(GuardConfig))


def read(config: Mapping[str, Any]) -> WebSettings:
    """What Flask's `config` says. The dict stands before keys of their own, and these before the environment.

    So `app.config.from_prefixed_env()` works: `FLASK_SUPERVISOR_GUARDS__MODE` is in the dict, and
    `FLASK_SUPERVISOR_ENFORCEMENT_MODE` is the variable of that name. Raises nothing.
    """
    environ = dict(os.environ)
    written = config.get(SETTING)
    single: dict[str, Any] = {}
    for key, value in config.items():
        if not key.startswith(PREFIX) or key == SETTING or value is None:
            continue
        if key in _VARIABLES and not isinstance(value, Mapping):
            environ[key] = _text(value)
        else:
            single[key.removeprefix(PREFIX)] = value
    if single and (written is None or isinstance(written, Mapping)):
        written = {**single, **(written or {})}
    found = read_settings(written, environ, adapter_keys=OWN_KEYS)
    more = (*_raise_errors_problems(found), *_waiting_problems(found))
    return dataclasses.replace(found, own_problems=(*found.own_problems, *more))


def raises_errors(settings: WebSettings) -> bool:
    """Whether refusals are raised for the application's error handlers, instead of answered."""
    return settings.own.get("RAISE_ERRORS") is True


def _raise_errors_problems(found: WebSettings) -> tuple[str, ...]:
    value = found.own.get("RAISE_ERRORS", False)
    return () if isinstance(value, bool) else (f"RAISE_ERRORS={value!r}: give True or False",)


def _waiting_problems(found: WebSettings) -> tuple[str, ...]:
    """A worker that waits for a person serves nobody, and is killed for it."""
    if found.config.problems():
        return ()  # these may be about the very words
    return tuple(
        f"rule {rule.route!r} ({rule.action!r}): on_review='block' would hold the worker until a person decides; "
        "choose one of fail_closed, fail_open, shadow"
        for rule in found.rules
        if blocks(found.config, rule)
    )


def _text(value: Any) -> str:
    """`value` as the environment would have it: `from_prefixed_env` reads numbers and lists as JSON."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
