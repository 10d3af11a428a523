"""The bounded off-path worker: callers append and go on, one daemon thread does the rest.

The thread polls the queue. Waking a thread for each item would stall callers for several microseconds
(`queue.Queue`: 3.6), polling every 20 ms costs nothing measurable.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from supervisor_guards._flow import NotNow

logger = logging.getLogger("supervisor_guards")

_BATCH = 1_000
_ADDED = 10_000
_SILENCE = 60.0
"""Seconds between two lines about a full queue."""
_FORK_SECONDS = 5.0
"""How long a fork waits for the batch in hand."""
_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


class Worker:
    """Feeds `handle` with batches on one daemon thread per process, started by the first `put`.

    `handle(batch, final)` may raise; the batch then counts as dropped. What it raises `NotNow` about goes back to the
    head of the queue, for as long as that says or until somebody wants the queue empty. `capacity` bounds items,
    `max_bytes` the sizes given to `put`. With `inline`, everything is handled in `put` (for tests). `idle` runs on the
    thread between batches, `forked` in a forked child, which begins with an empty queue.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[Any], bool], None],
        *,
        capacity: int = 10_000,
        max_bytes: int = 67_108_864,
        interval: float = 0.02,
        inline: bool = False,
        idle: Callable[[], None] = lambda: None,
        forked: Callable[[], None] = lambda: None,
    ) -> None:
        self._handle = handle
        self._idle = idle
        self._forked = forked
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._interval = interval
        self._inline = inline
        self._reset()
        _workers.add(self)

    def _reset(self) -> None:
        self._queue: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self.dropped = 0
        self._refused = 0
        self._seen_refused = 0
        self._told = -_SILENCE
        self._failing = False
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._handling = threading.RLock()  # a hook that makes a guarded call comes back here
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stuck: threading.Thread | None = None  # one that `close` gave up on: it holds `_handling` for ever
        self._closed = False

    def put(self, item: Any, size: int = 0) -> bool:
        """Queue `item`; False, and counted in `dropped`, when there is no room."""
        if len(self._queue) >= self._capacity or self._bytes > self._max_bytes:
            self.dropped += 1
            self._refused += 1
            return False
        self._queue.append((item, size))
        self._bytes += size
        if self._thread is None:
            self._start()
        return True

    def add(self, item: Any) -> None:
        """Queue `item` where `put` has no room: for what belongs to an item that was handled, and is paced by that.

        While nothing can be handled there is an end to that too: as many again as the queue holds, and no fewer than
        10,000. What is beyond is lost; the item itself was handled.
        """
        if len(self._queue) >= self._capacity + max(self._capacity, _ADDED):
            return
        self._queue.append((item, 0))
        if self._thread is None:
            self._start()

    def offer(self, item: Any, size: int = 0) -> bool:
        """`put` for items the caller will store itself when there is no room: not counted as dropped."""
        if len(self._queue) >= self._capacity or self._bytes > self._max_bytes:
            return False
        return self.put(item, size)

    @property
    def waiting(self) -> int:
        """Items in the queue."""
        return len(self._queue)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything queued before has been handled, at most `timeout` seconds."""
        if self._thread is None:
            self._drain(final=False)
            return not self._queue
        done = threading.Event()
        self._queue.append((done, 0))
        self._not_before = 0.0
        self._wake.set()
        return done.wait(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Handle what is queued and end the thread; False if it didn't end within `timeout` seconds."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread or self._stuck, None  # an exit may close more than once
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
            if thread.is_alive():  # draining beside it could wait on what it waits on, and hang the exit
                self._stuck = thread
                logger.error("%d decisions were not recorded: the store did not answer", len(self._queue))
                return False
        self._drain(final=True)
        return True

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            if not self._inline and not self._closed:
                thread = threading.Thread(target=self._loop, name="supervisor-guards", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is shutting down, or the process has no thread left
                    pass
                else:
                    self._thread = thread
                    _finish_in_multiprocessing_child(self)
                    return
        self._drain(final=self._closed)

    def _loop(self) -> None:
        try:
            self._looping()
        finally:
            if self._thread is threading.current_thread():  # it dies: the next item begins another
                self._thread = None

    def _looping(self) -> None:
        while not self._closed:
            self._wake.wait(self._interval)
            self._wake.clear()
            self._drain(final=False)
            if not self._closed:  # callers that go on after `close` drain for themselves: don't queue behind them
                _quietly(self._upkeep)

    def _upkeep(self) -> None:
        with self._handling:  # a fork waits for it as it waits for a batch
            self._idle()

    def _is_stuck(self) -> bool:
        return self._stuck is not None and self._stuck.is_alive()

    def _drain(self, *, final: bool) -> None:
        if self._is_stuck():
            return
        with self._handling:
            while self._queue and (final or time.monotonic() >= self._not_before):
                batch: list[Any] = []
                sizes: dict[int, int] = {}
                flushed: list[threading.Event] = []
                try:
                    while len(batch) < _BATCH:
                        item, size = self._queue.popleft()
                        self._bytes -= size
                        if isinstance(item, threading.Event):
                            flushed.append(item)
                        else:
                            batch.append(item)
                            sizes[id(item)] = size
                except IndexError:
                    self._bytes = 0  # `+=` of racing callers may lose an update; an empty queue is the truth
                left = self._handled(batch, final) if batch else ()
                if left:
                    # Of a flush that was asked for meanwhile, nothing is done before what came before it.
                    self._queue.extendleft((event, 0) for event in flushed)
                    self._queue.extendleft((item, sizes.get(id(item), 0)) for item in reversed(left))
                    self._bytes += sum(sizes.get(id(item), 0) for item in left)
                    continue
                for event in flushed:
                    event.set()

    def _handled(self, batch: list[Any], final: bool) -> Sequence[Any]:
        """Store `batch`; what is left of it.

        Each kind of loss is logged when it begins, and only counted while it goes on.
        """
        refused = self._refused - self._seen_refused
        now = time.monotonic()
        if refused and now - self._told >= _SILENCE:
            self._told = now
            self._seen_refused += refused
            logger.error("the queue was full: %d decisions were not recorded; more are only counted", refused)
        try:
            self._handle(batch, final)
        except NotNow as later:
            if not final:
                self._not_before = time.monotonic() + later.seconds
                return later.left
            lost = len(later.left) + sum(1 for item, _ in self._queue if not isinstance(item, threading.Event))
            self._queue.clear()
            self.dropped += lost
            logger.error("%d decisions were not recorded: the supervisor did not take them", lost)
        except Exception:
            self.dropped += len(batch)
            if not self._failing:
                logger.exception("%d decisions were not recorded; while this lasts, more are only counted", len(batch))
            self._failing = True
        except BaseException:
            self.dropped += len(batch)
            raise
        else:
            self._failing = False
        return ()


def _quietly(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        logger.exception("background upkeep failed; it runs again in a moment")
        time.sleep(0.1)  # an upkeep that always fails must not fill the log


def _finish_in_multiprocessing_child(worker: Worker) -> None:
    """A multiprocessing child ends by `os._exit` and skips `atexit`; its own finalizers do run."""
    if "multiprocessing.process" in sys.modules:
        from multiprocessing.process import parent_process
        from multiprocessing.util import Finalize

        if parent_process() is not None:
            Finalize(worker, Worker.close, args=(worker,), exitpriority=10)


_held = threading.local()


def _before_fork() -> None:
    """Let the batch in hand end: an import or a lock that is under way on our thread stays so in the child for ever."""
    deadline = time.monotonic() + _FORK_SECONDS
    _held.locks = []
    for worker in list(_workers):
        lock = worker._handling
        if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            _held.locks.append(lock)


def _after_fork_in_parent() -> None:
    for lock in _held.locks:
        lock.release()


def _after_fork() -> None:
    for worker in list(_workers):
        worker._reset()
        worker._forked()


def _at_exit() -> None:
    for worker in list(_workers):
        worker.close()


atexit.register(_at_exit)
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
