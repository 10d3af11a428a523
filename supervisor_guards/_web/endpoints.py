"""An endpoint and the decorators around it."""

from __future__ import annotations

import inspect
from typing import Any


def location_of(endpoint: Any) -> str:
    """Where the function that `endpoint` is, or wraps, is written: `file:line`; empty where that isn't known."""
    for one in reversed(layers(endpoint)):
        code = getattr(one, "__code__", None)
        if inspect.iscode(code):
            return f"{code.co_filename}:{code.co_firstlineno}"
    return ""


def layers(endpoint: Any) -> list[Any]:
    """`endpoint` and what it wraps, from the outside in: decorators, partials, bound methods."""
    found: list[Any] = []
    while endpoint is not None and len(found) < 100:
        found.append(endpoint)
        endpoint = (
            getattr(endpoint, "__wrapped__", None)
            or getattr(endpoint, "func", None)
            or getattr(endpoint, "__func__", None)
        )
    return found
