"""Commands that follow what is written end at Ctrl-C."""

from __future__ import annotations

import os
import signal
import weakref
from threading import Timer

from supervisor_guards._cli.repeating import repeat


def interrupt(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


class Closed:
    """What a database library finalizes."""


def test_ctrl_c_is_heard_where_an_exception_would_be_swallowed() -> None:
    looks: list[object] = []

    def look() -> bool:
        looks.append(None)
        one = Closed()
        noticed = weakref.ref(one, interrupt)
        del one
        return noticed() is not None or len(looks) < 3

    repeat(look, 0.0)
    assert len(looks) == 1


def test_ctrl_c_ends_a_pause_and_is_the_callers_again_afterwards() -> None:
    former = signal.getsignal(signal.SIGINT)
    timer = Timer(0.05, interrupt)

    def look() -> bool:
        timer.start()  # a second look would start it twice, which raises
        return False

    repeat(look, 3_600.0)
    timer.join()
    assert signal.getsignal(signal.SIGINT) is former
