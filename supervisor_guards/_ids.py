"""Action ids: UUID version 7 (RFC 9562), so rows arrive in index order, with 72 random bits."""

from __future__ import annotations

import os

_POOL_SIZE = 128
_pool: list[str] = []
_stamp = (-1, "")


def _refill() -> str:
    digits = os.urandom(10 * _POOL_SIZE).hex()
    fresh = [
        f"7{digits[at : at + 3]}-a{digits[at + 3 : at + 6]}-{digits[at + 6 : at + 18]}"
        for at in range(0, len(digits), 20)
    ]  # fmt: skip
    last = fresh.pop()
    _pool.extend(fresh)
    return last


def new_action_id(now: float) -> str:
    """A new id made at `now` (seconds since the epoch). No random part is used twice."""
    global _stamp
    try:
        random = _pool.pop()
    except IndexError:
        random = _refill()
    milliseconds = int(now * 1000)
    known, text = _stamp  # read once: another thread may set it meanwhile
    if known != milliseconds:
        digits = f"{milliseconds:012x}"
        text = f"{digits[:8]}-{digits[8:]}-"
        _stamp = (milliseconds, text)
    return text + random


# A child that kept the parent's pool would hand out the parent's ids.
os.register_at_fork(after_in_child=_pool.clear)
