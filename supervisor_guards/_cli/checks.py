"""What `supervisor-guards doctor` looks at. Nothing here makes a store, a folder or a key."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from supervisor_guards._cli import output, policies
from supervisor_guards._cli.stores import existing_store, shown_url, store_file, store_url
from supervisor_guards._config import GuardConfig
from supervisor_guards.embedded import keys
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.parts import STARTER
from supervisor_guards.errors import ConfigurationError

State = Literal["ok", "warning", "problem"]


class Check(msgspec.Struct, frozen=True):
    """What was found about one part."""

    name: str
    state: State
    details: tuple[str, ...]


def check_settings(config: GuardConfig) -> Check:
    """Settings that can't work."""
    if problems := config.problems():
        return Check("settings", "problem", tuple(problems))
    if service := config.service_problems():
        return Check("settings", "problem" if config.enforces else "warning", tuple(service))
    if config.force_shadow:
        return Check("settings", "warning", ("SUPERVISOR_FORCE_SHADOW is on: nothing is enforced",))
    return Check("settings", "ok", (f"mode {config.enforcement_mode}",))


def check_policy(config: GuardConfig) -> tuple[Check, list[str]]:
    """Whether the policy loads and its stored tests pass, and the action types it covers."""
    from supervisor_guards.policy.engine import run_tests

    if config.remote:
        return Check("policy", "ok", (f"kept by the service at {config.base_url}; not looked at",)), []
    path, source = policies.chosen(None, config)
    try:
        loaded = policies.load(path)
    except ConfigurationError as error:
        return Check("policy", "problem", tuple(error.problems)), []
    actions = list(loaded.action_types)
    where = f"{path} ({source}): {output.counted(len(actions), 'action type')}"
    failures = run_tests(loaded)
    if failures:
        return Check("policy", "problem", tuple(map(str, failures))), actions
    if path == STARTER and config.enforces:
        wanted = f"something is enforced but there is no policy: cp {STARTER} supervisor.yaml"
        return Check("policy", "problem", (wanted,)), actions
    if loaded.warnings:
        return Check("policy", "warning", (where, *map(str, loaded.warnings))), actions
    return Check("policy", "ok", (where,)), actions


def check_store(config: GuardConfig) -> list[Check]:
    """Whether the decision store can be opened, and who else can read its files."""
    if config.base_url and not config.database_url:
        return [Check("store", "ok", (f"kept by the service at {config.base_url}; not looked at",))]
    if config.database_url == "memory:":
        return [Check("store", "warning", ("memory: decisions are lost when the process ends",))]
    try:
        file = store_file(config)
        if file is not None and not file.is_file():
            return [_store_to_be(file)]
        with closing(existing_store(config)) as store:
            newest = store.decisions(1)
    except (StoreUnavailable, ConfigurationError) as error:
        return [Check("store", "problem", (str(error),))]
    found = "holds decisions" if newest else "is empty"
    checks = [Check("store", "ok", (f"{shown_url(store_url(config))} {found}",))]
    if file is not None:
        checks.append(_check_modes(file))
    return checks


def _store_to_be(file: Path) -> Check:
    folder = file.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        fix = "make it writable, or set SUPERVISOR_STATE_DIR or SUPERVISOR_DATABASE_URL"
        return Check("store", "problem", (f"{file} can't be made: {folder} can't be written; {fix}",))
    return Check("store", "ok", (f"{file} isn't there yet; it is made at the first guarded call",))


def _check_modes(file: Path) -> Check:
    open_ones = tuple(_too_open(file))
    if open_ones:
        return Check("store files", "problem", open_ones)
    return Check("store files", "ok", ("readable by their owner alone",))


def _too_open(file: Path) -> Iterator[str]:
    beside = [Path(f"{file}{suffix}") for suffix in ("", "-wal", "-shm")]
    for path, wanted in [(file.parent, 0o700), *((path, 0o600) for path in beside)]:
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            yield f"{path} has mode {mode:04o}, others can reach it: chmod {wanted:04o} {path}"


def check_key(config: GuardConfig) -> Check:
    """Whether the key that digests are made with is there and good."""
    if config.remote:
        return Check("key", "ok", (f"digests are keyed with {keys.VARIABLE} where it is set, else by shared_secret",))
    file = Path(config.state_dir).absolute() / keys.FILE
    named = bool(os.environ.get(keys.VARIABLE, "").strip())
    if not named and not file.exists():
        return Check("key", "ok", (f"{file} isn't there yet; it is made on first use, or set {keys.VARIABLE}",))
    try:
        loaded = keys.Keys.load(config.state_dir)
    except (StoreUnavailable, ConfigurationError) as error:
        return Check("key", "problem", (str(error),))
    if not named and (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
        return Check("key", "problem", (f"{file} has mode {mode:04o}, others can read it: chmod 0600 {file}",))
    return Check("key", "ok", (f"{keys.VARIABLE if named else file}, key id {loaded.key_id}",))
