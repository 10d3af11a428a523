"""How an action ended whose answer is sent in parts: known when the server closes it, not when the view returned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Response

from supervisor_guards_flask.visits import Visit

_WITHOUT_BODY = (204, 304)


def answered(visit: Visit, request: Any, response: Response) -> None:
    """Note the result that `response` tells; of a stream, let its end tell."""
    if visit.result is None:
        visit.result = "raised" if response.status_code >= 500 else "returned"
    if (
        not response.is_streamed
        or response.direct_passthrough  # the server takes the file, and doesn't say when
        or request.method == "HEAD"
        or response.status_code in _WITHOUT_BODY
        or not (visit.passed or visit.observing)
    ):
        return
    parts = Parts(response.response)
    response.response = parts
    visit.streaming = True

    @response.call_on_close
    def closed() -> None:
        visit.streaming = False
        if not parts.finished:
            visit.result = "raised"
        visit.settle(visit.result or "raised")


class Parts:
    """The parts of an answer, unchanged. `finished` once all were taken; not where one failed, or the client left."""

    def __init__(self, parts: Any) -> None:
        self._parts = parts
        self._iterator: Iterator[Any] | None = None
        self.finished = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._parts)
        try:
            return next(self._iterator)
        except StopIteration:
            self.finished = True
            raise

    def close(self) -> None:
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()
