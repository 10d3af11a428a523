"""Action ids: UUID version 7 (RFC 9562), so rows arrive in index order, with 72 random bits."""

from __future__ import annotations

import os

_POOL_SIZE = 128
_pool: list[str] = []
_stamp = (-1, "")


def _refill() -> str:
    digits = os.urandom(10 * _POOL_SIZE).hex()
    parts = [digits[start : start + 18] for start in range(0, len(digits), 20)]
    fresh = [f"7{part[:3]}-a{part[3:6]}-{part[6:]}" for part in parts]
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
