"""Passwords: hashed by argon2id (RFC 9106), a few at a time, because each takes memory and time on purpose."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from supervisor_guards.service.problems import Problem

__all__ = ["LONGEST", "SHORTEST", "Passwords"]

T = TypeVar("T")
SHORTEST, LONGEST = 12, 256
"""Characters of a password."""
_AT_ONCE = 2
"""Hashes in work in one process: each takes 64 MiB."""
_WAITING = 64
"""Sign-ins that may wait for one; beyond that they are told to come back."""
_NOBODYS = "the password of nobody"


class Passwords:
    """Hashes and verifies. `hasher` has the costs; a hash that was made with others is `outdated`."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._limit = anyio.CapacityLimiter(_AT_ONCE)

    def hash(self, password: str) -> str:
        """What is stored of `password`. Raises `ValueError` for one that is too short or too long."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise ValueError(
                f"the password has {len(password)} characters: choose one of {SHORTEST} to {LONGEST} characters"
            )
        return self._hasher.hash(_bytes(password))

    def matches(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one of which `stored` is kept. None is nobody's, and takes as long."""
        nobodys = self._nobodys  # made by the first call, whoever it is about
        try:
            matched = self._hasher.verify(nobodys if stored is None else stored, _bytes(password[: LONGEST + 1]))
        except (Argon2Error, InvalidHashError):
            return False
        return matched and stored is not None

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(_NOBODYS)

    def outdated(self, stored: str) -> bool:
        """Whether `stored` was made with other costs than those of today."""
        return self._hasher.check_needs_rehash(stored)

    async def working(self, call: Callable[..., T], *args: Any) -> T:
        """`call(*args)`, which hashes, in a worker thread, in its turn. Raises `Problem` 503 where too many wait."""
        if self._limit.statistics().tasks_waiting >= _WAITING:
            raise Problem(503, "too many people sign in at once: try again", {"Retry-After": "2"})
        return await anyio.to_thread.run_sync(call, *args, limiter=self._limit)


def _bytes(password: str) -> bytes:
    """The same bytes however a keyboard composes its characters (RFC 8265, OpaqueString)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
