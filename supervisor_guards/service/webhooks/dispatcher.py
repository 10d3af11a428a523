"""Delivers what is in the outbox. Each process has a dispatcher; a database's processes share the work."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio.to_thread
from sqlalchemy import Connection

from supervisor_guards.embedded.rows import now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.service.vault import Vault
from supervisor_guards.service.wakeups import DELIVERIES, Wakeups
from supervisor_guards.service.webhooks import deliveries
from supervisor_guards.service.webhooks.deliveries import Claimed, Settled
from supervisor_guards.service.webhooks.sending import Sender
from supervisor_guards.webhooks import signed_headers

logger = logging.getLogger("supervisor_guards")

T = TypeVar("T")

PER_SUBSCRIPTION = 4
"""Deliveries to one receiver that a process has under way: a slow one holds up nobody else."""
_LEASE_MARGIN_US = 5_000_000
_IDLE_SECONDS = 30.0
_TAKEN_SECONDS = 0.05
"""How long to look away when another process was quicker."""
_RETRY_SECONDS = 1.0
_GRACE_SECONDS = 2.0
"""How long a process that ends waits for answers; after that what is under way is given back."""
KEPT_US = 30 * 86_400_000_000
"""How long deliveries can be looked at and sent again."""
_PURGE_SECONDS = 3_600.0
_PURGED = 500


class Dispatcher:
    """One process's share of the deliveries, on one event loop. `attempts` are made before one is given up.

    At least once: a process that dies after the receiver's answer leaves a delivery that another one makes again.
    """

    def __init__(self, store: Store, vault: Vault, sender: Sender, wakeups: Wakeups, attempts: int) -> None:
        self._store = store
        self._vault = vault
        self._sender = sender
        self._wakeups = wakeups
        self._attempts = attempts
        self._lease_us = int(sender.timeout * 1_000_000) + _LEASE_MARGIN_US
        self._under_way: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._settled: list[Settled] = []
        self._stopping = False
        self._purge_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Claim nothing more, wait a moment for what is under way, and give the rest back to other processes."""
        self._stopping = True
        self._wakeups.changed(DELIVERIES)
        if self._task is not None:
            await self._task
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_GRACE_SECONDS)
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._settled:
            try:
                await anyio.to_thread.run_sync(self._exchange, self._settled, {})
            except Exception as error:  # their leases lapse
                logger.error("can't write down what came of %d webhooks: %s", len(self._settled), error)

    async def _run(self) -> None:
        while not (self._stopping or self._wakeups.ending):
            seen = self._wakeups.seen(DELIVERIES)
            try:
                pause = await self._turn()
            except Exception as error:
                logger.error("can't look for webhooks to deliver, trying again: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            await self._wakeups.sleep(DELIVERIES, seen, pause)

    async def _turn(self) -> float:
        """Write down what is settled and begin what is due; for how long there is nothing else to do."""
        settled, self._settled = self._settled, []
        try:
            if time.monotonic() >= self._purge_at:
                await self._purge()
            due = await anyio.to_thread.run_sync(self._due)
            now = now_us()
            room = {name: PER_SUBSCRIPTION - self._busy[name] for name in due}
            ready = {name: room[name] for name, at in due.items() if at <= now and room[name] > 0}
            claimed: list[Claimed] = []
            if settled or ready:
                claimed = await anyio.to_thread.run_sync(self._exchange, settled, ready)
        except BaseException:
            self._settled = settled + self._settled
            raise
        for one in claimed:
            self._busy[one.subscription.id] += 1
            task = asyncio.create_task(self._deliver(one))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        if claimed or settled:  # what is due has changed since we looked
            return 0.0
        if ready:
            return _TAKEN_SECONDS
        later = [at - now for name, at in due.items() if room[name] > 0]
        return min(min(later, default=_IDLE_SECONDS * 1_000_000) / 1_000_000, _IDLE_SECONDS)

    def _due(self) -> dict[str, int]:
        with self._store.reading() as held:
            return deliveries.due(held)

    def _exchange(self, settled: Sequence[Settled], ready: dict[str, int]) -> list[Claimed]:
        """Write down what is `settled`, and claim so many deliveries of each subscription that is `ready`."""

        def work(held: Connection) -> list[Claimed]:
            deliveries.settle(held, settled, self._attempts)
            now, lease = now_us(), uuid.uuid4().hex
            return [
                one
                for name, room in ready.items()
                for one in deliveries.claim(held, name, room, now, now + self._lease_us, lease)
            ]

        return _write(self._store, work)

    async def _deliver(self, claimed: Claimed) -> None:
        given: tuple[str | None, bool] = (None, False)
        try:
            given = await self._tried(claimed)
        finally:
            # Cancelled, it is given back untried.
            self._settled.append(Settled(claimed, *given, now_us()))
            self._busy[claimed.subscription.id] -= 1
            self._wakeups.changed(DELIVERIES)

    async def _tried(self, claimed: Claimed) -> tuple[str, bool]:
        """What came of one attempt, and whether the receiver has it."""
        delivery, subscription = claimed.delivery, claimed.subscription
        body = delivery.body.encode()
        try:
            secrets = subscription.secrets(self._vault, now_us())
            headers = signed_headers(secrets, delivery.event, delivery.name, int(time.time()), body)
            answer = await self._sender.send(subscription.url, headers, body)
        except ConfigurationError as error:
            return f"not sent: {error}", False
        except Exception as error:
            logger.error("delivery %s failed in a way that isn't known", delivery.name, exc_info=error)
            return f"not sent: {type(error).__name__}", False
        return str(answer), answer.accepted

    async def _purge(self) -> None:
        def work(held: Connection) -> int:
            return deliveries.purge(held, now_us() - KEPT_US, _PURGED)

        gone = await anyio.to_thread.run_sync(_write, self._store, work)
        if gone < _PURGED:
            self._purge_at = time.monotonic() + _PURGE_SECONDS


def _write(store: Store, work: Callable[[Connection], T]) -> T:
    """What `work` returns, in a transaction. PostgreSQL's is one beside the record's: it holds up no decision."""
    with store.reading() as held:
        if held.dialect.name == "postgresql":
            with held.begin():
                return work(held)
    return store.transact(lambda held, _note: work(held))
