"""An answer that is sent in parts: its request is over for Flask before they are taken.

How its action ended is known when the server closes it, and plain guards in it still belong to the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Response

from supervisor_guards_flask.visits import Visit
from supervisor_guards_flask.within import STREAMED

_WITHOUT_BODY = (204, 304)


def is_streamed(request: Any, response: Response) -> bool:
    """Whether code of the application will be run for the parts of `response`."""
    return bool(
        type(response.response) is not list  # nearly always it is one
        and response.is_streamed
        and not response.direct_passthrough  # the server takes the file, and doesn't say when
        and request.method != "HEAD"
        and response.status_code not in _WITHOUT_BODY
    )


def stream(visit: Visit, context: Any, response: Response) -> None:
    """Let the parts of `response` be taken within the request, and their end tell the result."""
    parts = Parts(response.response, context)
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

    def __init__(self, parts: Any, context: Any) -> None:
        self._parts = parts
        self._context = context
        self._iterator: Iterator[Any] | None = None
        self.finished = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        token = STREAMED.set(self._context)
        try:
            if self._iterator is None:
                self._iterator = iter(self._parts)
            return next(self._iterator)
        except StopIteration:
            self.finished = True
            raise
        finally:
            STREAMED.reset(token)

    def close(self) -> None:
        close = getattr(self._parts, "close", None)
        if close is None:
            return
        token = STREAMED.set(self._context)
        try:
            close()
        finally:
            STREAMED.reset(token)
