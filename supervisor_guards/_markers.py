"""Markers: what stands in a payload where a value could not be encoded, or must not be seen."""

from __future__ import annotations

from typing import Any

__all__ = ["MARKER_KEYS", "is_marker"]

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
