"""Markers: what stands in a payload where a value could not be encoded, or must not be seen."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["MARKER_KEYS", "UNREAD", "Unreadable", "Unusable", "is_marker"]

MARKER_KEYS = frozenset(
    {
        "__truncated__",
        "__nonfinite__",
        "__surrogate__",
        "__cycle__",
        "__depth__",
        "__object__",
        "__bytes__",
        "__redacted__",
        "__key__",
        "__error__",
    }
)


def is_marker(value: Any) -> bool:
    """Whether `value`, a piece of decoded JSON, is a marker: an object with any of `MARKER_KEYS`.

    The snapshot escapes a user's own object that spells one of these keys, so there is no false alarm.
    """
    return type(value) is dict and not MARKER_KEYS.isdisjoint(value)


UNREAD = "body-unread"
"""The reason of an `Unreadable` that nobody has read: in shadow what enforce would have said can't be known."""


class Unreadable(msgspec.Struct, frozen=True):
    """In a payload, a value that an adapter could not read: a policy rule that touches it fails.

    `reason` is one word for people, `digest` a hash of the content that tells two such values apart; without
    one the whole payload has no digest, so no approval fits it.
    """

    reason: str
    digest: bytes | None = None


class Unusable(msgspec.Struct, frozen=True):
    """Instead of a payload, one that can't be judged: refused in enforce whatever the policy says.

    `reason` is one word (`body-invalid`), `payload` what is known all the same, for the record.
    """

    reason: str
    payload: Any = None
