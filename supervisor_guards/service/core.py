"""One process of the service: what every endpoint works with, opened and closed together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from supervisor_guards._redaction import Redactor
from supervisor_guards.embedded.desk import ReviewDesk
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.folder import private_folder
from supervisor_guards.embedded.keys import Keys
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.service import wakeups
from supervisor_guards.service.access import Access
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.database import open_database
from supervisor_guards.service.instruments import Instruments
from supervisor_guards.service.integrations import Integrations
from supervisor_guards.service.judging import Terms
from supervisor_guards.service.limits import Limiter
from supervisor_guards.service.outbox import Outbox
from supervisor_guards.service.passwords import Passwords
from supervisor_guards.service.people import People
from supervisor_guards.service.policies import StoredPolicies
from supervisor_guards.service.proxies import Proxies
from supervisor_guards.service.scribe import Scribe
from supervisor_guards.service.sessions import Sessions
from supervisor_guards.service.tokens import PersonTokens
from supervisor_guards.service.upkeep import Upkeep
from supervisor_guards.service.vault import Vault
from supervisor_guards.service.versions import Versions
from supervisor_guards.service.wakeups import Wakeups
from supervisor_guards.service.webhooks.dispatcher import Dispatcher
from supervisor_guards.service.webhooks.sending import Sender
from supervisor_guards.service.webhooks.subscriptions import Subscriptions

logger = logging.getLogger("supervisor_guards")

T = TypeVar("T")
_READERS = 8
"""Threads that read the database for one process; the writer is apart."""
_COMPARERS = 1
"""Threads for work on much data, a piece at a time: who waits for an evaluation must not wait for it."""


class Service:
    """Store, policies, keys and callers of one process. Opening it makes the database current.

    Raises `ConfigurationError` with every fault of `config`, and `StoreUnavailable` where the database can't be
    opened.
    """

    def __init__(self, config: ServiceConfig) -> None:
        problems = config.problems()
        if problems:
            raise ConfigurationError(problems)
        self.config = config
        if config.database_url is None:
            private_folder(Path(config.state_dir).absolute())
        keys = Keys.load(config.state_dir)
        self.vault = Vault(keys)
        self.store = open_database(config.url, Sealer(keys.subkey("evidence"), keys.key_id), Outbox().within)
        self.bundle_key = keys.subkey("evidence-bundle")
        self.integrations = Integrations(self.store, self.vault, config.secret_overlap_seconds)
        self.policies = StoredPolicies(self.store)
        self.versions = Versions(self.store)
        self.desk = ReviewDesk(self.store)
        self.access = Access(self.store, self.integrations, config.admin_token)
        self.people = People(self.store)
        self.passwords = Passwords()
        self.tokens = PersonTokens(self.store)
        self.sessions = Sessions(self.store, keys.subkey("csrf"), config.session_hours)
        self.proxies = Proxies(config.trusted_proxies, config.identity_header)
        self.limiter = Limiter(self.store, config.per_minute)
        self.terms = Terms(
            int(config.review_expires_seconds * 1_000_000),
            int(config.review_window_seconds * 1_000_000),
            keys.subkey("digest"),
            Redactor(extra_names=config.redact),
        )
        self.wakeups = Wakeups(config.url)
        self.instruments = Instruments()
        self.scribe = Scribe(self.store, self.instruments.committed)
        self.upkeep = Upkeep(self.store, config)
        self.subscriptions = Subscriptions(self.store, self.vault, config.secret_overlap_seconds)
        self.sender = Sender(config.webhook_private, config.webhook_timeout_seconds)
        self.dispatcher = Dispatcher(self.store, self.vault, self.sender, self.wakeups, config.webhook_attempts)
        self._tasks: list[asyncio.Task[None]] = []

    def take_in_policy(self) -> None:
        """Store and promote the documents of the policy file of the settings, those that are new.

        Any number of processes may. Raises `PolicyError`, a `ConfigurationError`, with every fault.
        """
        path = self.config.policy_path()
        if path is None:
            return
        for kept in self.versions.take_in(path):
            logger.warning(
                "%s of %s is stored, and not in force: promote it, or raise its version in the file", kept.label, path
            )
        self.policies.refresh()

    async def start(self) -> None:
        """Take in the policy file, and begin to write and to listen, on this event loop.

        Raises `ConfigurationError` for a policy that can't be used.
        """
        self._readers = anyio.CapacityLimiter(_READERS)
        self._comparers = anyio.CapacityLimiter(_COMPARERS)
        try:
            await self.reading(self.take_in_policy)
        except BaseException:
            self.close()
            raise
        self.scribe.start()
        self.wakeups.start()
        self.dispatcher.start()
        self._tasks = [asyncio.create_task(self._follow(wakeups.POLICIES, self.policies.refresh))]
        self._tasks.append(asyncio.create_task(self._follow(wakeups.ACCESS, self.access.forget)))
        self._tasks.append(asyncio.create_task(self.upkeep.run()))

    async def stop(self) -> None:
        """Write what waits, and close."""
        self.wakeups.end()
        await self.scribe.stop()
        await self.dispatcher.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await anyio.to_thread.run_sync(self._finish)

    def close(self) -> None:
        """Release the database; idempotent."""
        self.wakeups.stop()
        self.instruments.close()
        self.store.close()

    def _finish(self) -> None:
        try:
            self.upkeep.finish()
        except StoreUnavailable as error:
            logger.error("what was written last is not anchored: %s", error)
        finally:
            self.close()

    async def reading(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """`call(...)`, which reads or writes the database, in a worker thread."""
        return await anyio.to_thread.run_sync(partial(call, *args, **kwargs), limiter=self._readers)

    async def comparing(self, call: Callable[..., T], *args: Any) -> T:
        """`call(...)`, one piece of work on much data, in a worker thread of its own kind."""
        return await anyio.to_thread.run_sync(call, *args, limiter=self._comparers)

    async def _follow(self, topic: str, look: Callable[[], object]) -> None:
        """Call `look` whenever another process may have changed `topic`."""
        seen = -1
        while not self.wakeups.ending:
            await self.wakeups.sleep(topic, seen, 30.0)
            seen = self.wakeups.seen(topic)
            try:
                await self.reading(look)
            except Exception as error:
                logger.error("can't follow changes of %s, trying again: %s", topic, error)
                await asyncio.sleep(1.0)
                seen = -1
