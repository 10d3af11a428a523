"""Looking at a store again and again until Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

__all__ = ["repeat"]


def repeat(look: Callable[[], bool], seconds: float) -> None:
    """Call `look` until Ctrl-C: again at once where it says that there is more, else after `seconds`.

    While it looks, the first Ctrl-C is only noted: raised in the middle of a database library, `KeyboardInterrupt` may
    meet code that swallows it, such as a finalizer. The second one is raised there.
    """
    ended = pausing = False

    def heard(*_: object) -> None:
        nonlocal ended
        before, ended = ended, True
        if pausing or before:
            raise KeyboardInterrupt

    former = signal.signal(signal.SIGINT, heard)
    try:
        while not ended:
            if look():
                continue
            pausing = True
            if not ended:
                time.sleep(seconds)
            pausing = False
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGINT, former)
