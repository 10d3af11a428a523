"""What the embedded supervisor opens on first use, by the settings: its policy, its store, its key."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from supervisor_guards._config import GuardConfig
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.errors import ConfigurationError

if TYPE_CHECKING:
    from supervisor_guards.embedded.evidence import Sealer
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store
    from supervisor_guards.policy.source import PolicySource

logger = logging.getLogger("supervisor_guards")

T = TypeVar("T")
STARTER = Path(__file__).parent.parent / "policy" / "starter.yaml"
DATABASE = "decisions.db"
_RETRY_SECONDS = 5.0


class Once(Generic[T]):
    """Makes a value on first use. A failure is remembered for a few seconds, so that it isn't paid on each call."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._value: T | None = None
        self._lock = threading.RLock()
        self._failed: tuple[float, Exception] | None = None
        self.made = False
        _made.add(self)

    def __call__(self) -> T:
        if not self.made:
            with self._lock:
                self._ensure()
        return self._value  # type: ignore[return-value]

    def _ensure(self) -> None:
        if self.made:
            return
        if self._failed is not None and time.monotonic() - self._failed[0] < _RETRY_SECONDS:
            raise self._failed[1]
        try:
            self._value = self._make()
        except Exception as error:
            self._failed = (time.monotonic(), error)
            raise
        self.made = True

    def _forked(self) -> None:
        self._lock = threading.RLock()


_made: weakref.WeakSet[Once[Any]] = weakref.WeakSet()


def open_policy(config: GuardConfig) -> PolicySource:
    """The policy that is named or found; the starter policy in shadow. Raises `ConfigurationError`."""
    from supervisor_guards.policy.source import PolicySource

    path = config.policy_path()
    if path is None and config.enforces:
        raise no_policy()
    source = PolicySource(path or STARTER, unmatched=config.unmatched, shadow_only=path is None)
    logger.info("policy in use: %s", source.path)
    return source


def no_policy() -> ConfigurationError:
    """What stops an enforced action where no policy was named or found."""
    return ConfigurationError(
        f"something is enforced but there is no policy: looked at SUPERVISOR_POLICY (not set) and "
        f"{Path('supervisor.yaml').absolute()} (not there); copy the starter from {STARTER}"
    )


def open_store(config: GuardConfig) -> Store | MemoryStore:
    """The store of `database_url`, else SQLite in `state_dir`; a ring in memory in shadow where neither opens."""
    from supervisor_guards.embedded import open_store as open_url
    from supervisor_guards.embedded.folder import private_folder

    try:
        if config.database_url:
            return open_url(config.database_url, sealer=sealer(config), migrated_by=config.migrated_by)
        folder = Path(config.state_dir).absolute()
        private_folder(folder)
        logger.info("decision store in use: %s", folder / DATABASE)
        return open_url(f"sqlite:///{folder / DATABASE}", sealer=sealer(config))
    except StoreUnavailable as error:
        if config.enforces:
            raise
        logger.warning("decisions are kept in memory only, and are lost when the process ends: %s", error)
        return open_url("memory:")


def sealer(config: GuardConfig) -> Sealer:
    """What signs the record: with the master key; with nothing where no key file can be made in shadow."""
    from supervisor_guards.embedded.evidence import Sealer
    from supervisor_guards.embedded.keys import Keys

    try:
        keys = Keys.load(config.state_dir)
    except StoreUnavailable as error:
        if config.enforces:
            raise
        logger.warning("the record is not signed, so edits can't be found: %s", error)
        return Sealer.unsigned()
    return Sealer(keys.subkey("evidence"), keys.key_id)


def digest_key(config: GuardConfig) -> bytes:
    """The key of digests: of the master key, or of this process alone where no key file can be made in shadow."""
    from supervisor_guards.embedded.keys import Keys

    try:
        return Keys.load(config.state_dir).subkey("digest")
    except StoreUnavailable:
        if config.enforces:
            raise
        return secrets.token_bytes(32)


def _after_fork() -> None:
    for once in list(_made):
        once._forked()


os.register_at_fork(after_in_child=_after_fork)
