"""Hearing that the process was asked to end, before its server waits for the requests under way.

A server that stops lets requests finish, and tells the application afterwards: a long poll would hold it up.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["stop_signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals(heard: Callable[[], None]) -> Iterator[None]:
    """Within it, `heard` is called when such a signal comes, and then the server's own handler.

    Outside the main thread, where no signals are handled, nothing is heard.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    servers: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}
    # A default action ends the process at once: nothing is held up, and there is nothing to call.
    servers = {number: handler for number, handler in servers.items() if callable(handler)}

    def both(number: int, frame: FrameType | None) -> None:
        heard()
        servers[number](number, frame)

    for number in servers:
        signal.signal(number, both)
    try:
        yield
    finally:
        for number, handler in servers.items():
            if signal.getsignal(number) is both:
                signal.signal(number, handler)
