"""The Starlette applications that `benchmarks.asgi` measures, in process and behind uvicorn."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from benchmarks import workload

SIDES = ("bare", "empty", "shadow", "enforce")
"""Without a middleware, with an empty `BaseHTTPMiddleware`, and guarded."""
RULES = 100


async def _refund(request: Request) -> Response:
    await request.body()
    return PlainTextResponse("ok")


async def _free(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _pass(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    return response


def make(side: str, folder: Path, routes: int = 1) -> tuple[Starlette, Any]:
    """The application and its guard, None on the sides without one. `/free` is the last of `routes` routes."""
    many = [Route(f"/other-{number}/{{id}}", _free) for number in range(routes - 1)]
    refunds = Route("/refunds/{order_id}", _refund, methods=["POST"])
    app = Starlette(routes=[*many, Route("/free", _free), refunds])
    if side == "empty":
        app.add_middleware(BaseHTTPMiddleware, dispatch=_pass)
    if side in ("bare", "empty"):
        return app, None
    from supervisor_guards import Guard, GuardConfig
    from supervisor_guards_asgi import RouteRule, SupervisorMiddleware

    folder.mkdir(parents=True, exist_ok=True)
    policy = folder / "policy.yaml"
    policy.write_text(workload.policy(workload.conditions(RULES)))
    enforcement: Any = side
    guard = Guard(GuardConfig(enforcement_mode=enforcement, policy=str(policy), state_dir=str(folder / "state")))
    fields = [f"body.{name}" for name in workload.FIELDS]
    rule = RouteRule("POST /refunds/{order_id}", workload.ACTION, payload=fields)
    app.add_middleware(SupervisorMiddleware, guard=guard, rules=[rule])
    return app, guard


def served() -> Starlette:
    """For `uvicorn --factory`: the side that `BENCHMARK_SIDE` names, in `BENCHMARK_FOLDER`."""
    return make(os.environ["BENCHMARK_SIDE"], Path(os.environ["BENCHMARK_FOLDER"]))[0]
