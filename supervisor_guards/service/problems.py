"""What an endpoint refuses, as version 1 clients read it: `{"detail": ...}` with the status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["Problem", "answer", "problem_response"]

_encode = msgspec.json.Encoder().encode


class Problem(Exception):
    """Refuses a request: `status`, and `detail` for people (a list of them for 422)."""

    def __init__(self, status: int, detail: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON. Nothing may be cached: answers are about one caller's decisions."""
    return Response(
        _encode(value), status, {"Cache-Control": "no-store", **(headers or {})}, media_type="application/json"
    )


async def problem_response(_request: Request, error: Exception) -> Response:
    """The answer for a `Problem`."""
    assert isinstance(error, Problem)
    return answer({"detail": error.detail}, error.status, error.headers)
