"""The keyed hash chain over the record. No I/O.

Every transaction that writes decisions or events is a segment. Each row carries a keyed hash (BLAKE2b, RFC 7693)
of its content and its segment's number; a segment's head is a keyed hash of the head before it and of its rows'
hashes, in order. Without the key nobody can make a row, a segment or a chain that verifies; what the key can't
show, that the last segments are gone, an anchor kept elsewhere does.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = ["GENESIS", "Link", "Sealer"]

GENESIS = "0" * 32
"""The head before the first segment."""

_SIZE = 16
_encode = msgspec.json.Encoder().encode


class Link(msgspec.Struct, frozen=True):
    """The end of a chain: the number of a segment and its head."""

    segment: int = 0
    head: str = GENESIS


class Sealer:
    """Makes and checks the hashes under one key, at most 64 bytes; `key_id` names it in each segment."""

    def __init__(self, key: bytes, key_id: str) -> None:
        self._key = key
        self.key_id = key_id

    @classmethod
    def unsigned(cls) -> Sealer:
        """Anybody can make these hashes: for a store without a key. `verify` reports such segments."""
        return cls(b"", "")

    def decision(self, segment: int, values: Sequence[Any]) -> str:
        """The hash of a decision row: its values in the order of `rows.COLUMNS`."""
        return self._hash(b"sg-decision", (segment, *values))

    def event(self, segment: int, values: Sequence[Any]) -> str:
        """The hash of an event row: its values in the order of `rows.Event`."""
        return self._hash(b"sg-event", (segment, *values))

    def link(self, before: Link, time: int, decisions: Sequence[str], events: Sequence[str]) -> Link:
        """The segment after `before`, written at `time`, of rows with these hashes."""
        segment = before.segment + 1
        return Link(segment, self._hash(b"sg-segment", (before.head, segment, time, decisions, events)))

    def tombstone(self, values: Sequence[Any]) -> str:
        """The hash of a tombstone: its values in the order of the table."""
        return self._hash(b"sg-tombstone", values)

    def _hash(self, purpose: bytes, values: Sequence[Any]) -> str:
        return hashlib.blake2b(_encode(values), digest_size=_SIZE, key=self._key, person=purpose).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two hashes are equal, in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
