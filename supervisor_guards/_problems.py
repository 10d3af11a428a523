"""What is wrong with the settings of a guard, one sentence each: the setting, its value, what to give instead."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor_guards import _address
from supervisor_guards._model import MODES, ON_REVIEW, ON_UNAVAILABLE
from supervisor_guards._settings import suggestion

if TYPE_CHECKING:
    from supervisor_guards._config import GuardConfig

ACTION_KEYS = (
    "mode", "on_review", "on_unavailable", "sample_percent", "review_timeout_seconds", "evaluate_timeout_seconds",
)  # fmt: skip
ENFORCING = ("sample", "enforce")
CHOICES: dict[str, tuple[str, ...]] = {
    "enforcement_mode": MODES,
    "mode": MODES,
    "default_on_review": ON_REVIEW,
    "on_review": ON_REVIEW,
    "on_unavailable": ON_UNAVAILABLE,
    "unmatched": ("deny", "review", "allow"),
    "audit": ("async", "sync"),
}
_MAY_BE_ZERO = ("review_timeout_seconds", "review_window_seconds")
_DURATIONS = (
    *_MAY_BE_ZERO, "review_poll_interval_seconds", "review_expires_seconds", "anchor_interval_seconds",
    "evaluate_timeout_seconds", "breaker_seconds",
)  # fmt: skip


def of_values(config: GuardConfig) -> list[str]:
    """Values that a setting can't have."""
    found: list[str] = []
    for name in ("enforcement_mode", "default_on_review", "on_unavailable", "unmatched", "audit"):
        value = getattr(config, name)
        if value not in CHOICES[name] and not (name == "default_on_review" and value is None):
            found.append(f"{_name(config, name)}={value!r}: choose one of {choices(name)}")
    for name in _DURATIONS:
        found += _bad_duration(_name(config, name), getattr(config, name), zero=name in _MAY_BE_ZERO)
    if config.retention_days is not None and not (is_number(config.retention_days) and config.retention_days > 0):
        found.append(
            f"{_name(config, 'retention_days')}={config.retention_days!r}: give a number of days greater than 0"
        )
    found += _bad_percent(_name(config, "sample_percent"), config.sample_percent)
    for name in ("max_payload_bytes", "queue_size", "queue_bytes", "breaker_failures", "max_connections"):
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            found.append(f"{_name(config, name)}={value!r}: give a whole number of at least 1")
    return found


def of_service(config: GuardConfig) -> list[str]:
    """What keeps the settings from reaching the service they ask for."""
    if not config.base_url:
        return [_NO_URL] if config.app_id or config.shared_secret else []
    missing = [_name(config, name) for name in ("app_id", "shared_secret") if not getattr(config, name)]
    found = _address.problems(_name(config, "base_url"), config.base_url, config.allow_http)
    if missing:
        names = " and ".join(missing)
        found.append(
            f"{_name(config, 'base_url')} names a service, but not set: {names}. Set what the service gave this "
            "application, or remove base_url to use the embedded supervisor"
        )
    if config.ca_file and not Path(config.ca_file).is_file():
        found.append(f"{_name(config, 'ca_file')}={config.ca_file!r}: there is no such file")
    return found


def of_actions(actions: object) -> list[str]:
    """What is wrong with the settings of single actions."""
    if not isinstance(actions, Mapping):
        return [f"actions={actions!r}: give a mapping of action type to settings"]
    found: list[str] = []
    for action_type, own in actions.items():
        where = f"actions[{action_type!r}]"
        if not isinstance(own, Mapping):
            found.append(f"{where}={own!r}: give a mapping such as {{'mode': 'enforce'}}")
            continue
        for key, value in own.items():
            setting_name = f"{where}[{key!r}]"
            if key not in ACTION_KEYS:
                found.append(f"{setting_name} is not a setting{suggestion(str(key), ACTION_KEYS)}")
            elif key in CHOICES and value not in CHOICES[key]:
                found.append(f"{setting_name}={value!r}: choose one of {choices(key)}")
            elif key == "sample_percent":
                found += _bad_percent(setting_name, value)
            elif key in ("review_timeout_seconds", "evaluate_timeout_seconds"):
                found += _bad_duration(setting_name, value, zero=key in _MAY_BE_ZERO)
    return found


def asks_for_more(value: object) -> bool:
    """Whether what nobody can read asks for more than shadow somewhere inside, in whatever case it is written."""
    if isinstance(value, str):
        return value.strip().lower() in ENFORCING
    if isinstance(value, Mapping):
        return any(asks_for_more(one) for one in value.values())
    return isinstance(value, (list, tuple)) and any(asks_for_more(one) for one in value)


def choices(name: str) -> str:
    """The words that the setting `name` may be, for a message."""
    return ", ".join(CHOICES[name])


def is_number(value: object) -> bool:
    """Whether `value` can be a duration or a share: finite, and no flag."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_NO_URL = (
    "an app id or secret is set but no base_url (SUPERVISOR_BASE_URL): "
    "name the service, or remove app_id and shared_secret (SUPERVISOR_APP_ID, SUPERVISOR_SECRET) to use the "
    "embedded supervisor"
)


def _name(config: GuardConfig, field: str) -> str:
    env = next(f.metadata.get("env") for f in dataclasses.fields(config) if f.name == field)
    return f"{field} ({env})" if env else field


def _bad_duration(name: str, value: Any, *, zero: bool) -> list[str]:
    if not is_number(value) or value < 0 or (value == 0 and not zero):
        return [f"{name}={value!r}: give a number of seconds {'of at least' if zero else 'greater than'} 0"]
    return []


def _bad_percent(name: str, value: Any) -> list[str]:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100:
        return [f"{name}={value!r}: give a whole number from 0 to 100"]
    return []
