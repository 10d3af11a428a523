"""The API describes itself."""

from __future__ import annotations

import functools
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards.service.api.contract import OPERATIONS
from supervisor_guards.service.described import document
from supervisor_guards.service.problems import answer


@functools.cache
def described() -> dict[str, object]:
    """The OpenAPI 3.1 document."""
    return document(OPERATIONS, version("supervisor-guards"))


async def openapi(_request: Request) -> Response:
    """It is public, like version 1's catalogue: it holds nothing of this installation."""
    return answer(described())


routes = [Route("/openapi.json", openapi, methods=["GET"])]
