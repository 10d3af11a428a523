"""An answer that is sent in parts, once the middleware has returned: plain guards in it still belong to the request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from supervisor_guards.web import serving


def within(request: Any, visit: Any, response: Any) -> None:
    """Let each part of `response` be made as if the middleware were still around it."""
    if getattr(response, "file_to_stream", None) is None:  # the server takes a file by itself
        kind = AsyncParts if getattr(response, "is_async", False) else Parts
        response.streaming_content = kind(request, visit, response.streaming_content)


class Parts:
    """The parts, unchanged. It has no `close`: Django closes what the view gave it."""

    def __init__(self, request: Any, visit: Any, parts: Any) -> None:
        self._request = request  # the visit doesn't keep it
        self._visit = visit
        self._approvals = visit.approvals(request)
        self._parts = iter(parts)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with serving(self._visit, self._approvals):
            return next(self._parts)


class AsyncParts:
    """`Parts` on the event loop."""

    def __init__(self, request: Any, visit: Any, parts: Any) -> None:
        self._request = request
        self._visit = visit
        self._approvals = visit.approvals(request)
        self._parts = aiter(parts)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        with serving(self._visit, self._approvals):
            return await anext(self._parts)
