"""The contract in FastAPI with decorated endpoints: what is judged is what FastAPI has validated."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, Form, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from supervisor_guards import Guard
from supervisor_guards_asgi import supervised_route
from tests.engine import settings
from tests.integrations import contract
from tests.integrations.asgi_apps import Note, seen
from tests.integrations.contract import ACTIONS, ROUTES, Seen
from tests.integrations.in_process import Site, asgi, sender

_READING = ("rule-error:", "cast-failed:", "body-", "unsupported-type", "ambiguous-payload")
_STRICTER = ("JSON as text", "JSON without a type", "JSON under a type of nonsense", "JSON under a type of two",
             "JSON that says it is a form", "a query of an exponent")  # fmt: skip
OWN = dict.fromkeys(
    (case.name for case in contract.CASES
     if case.name in _STRICTER or any(reason.startswith(_READING) for reason in case.reasons)),
    "validation comes first: what it refuses is never judged, and what it makes of the rest is",
)  # fmt: skip
"""What answers otherwise where FastAPI validates, and why."""


class Amount(BaseModel):
    amount: int | float


def app(note: Note, guard: Guard) -> FastAPI:
    """The contract's routes, each with the arguments that such an endpoint would have."""
    api = FastAPI(openapi_url=None)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return Response(status_code=422)  # FastAPI's own answer repeats the input, which may be no UTF-8

    routes = {route.name: route for route in ROUTES}

    def supervised(name: str, payload: Any = None) -> Any:
        rule = ACTIONS[name]
        return supervised_route(
            rule["action"],
            payload=payload or rule.get("payload"),
            max_body_bytes=rule.get("max_body_bytes"),
            guard=guard,
            user=lambda connection: sender(connection.headers),
        )

    def at(name: str) -> Any:
        route = routes[name]
        methods = [route.method, "HEAD"] if route.method == "GET" else [route.method]
        return api.api_route(route.template.replace(":int", ""), methods=methods, name=name)

    @at("refund")
    @supervised("refund", lambda order_id, body: {"order_id": order_id, "amount": body.amount})
    async def refund(order_id: str, body: Amount) -> None:
        note(Seen("refund", {"order_id": order_id}, body={"amount": body.amount}))

    @at("cancel")
    @supervised("cancel", lambda order_id: {"order_id": order_id})
    async def cancel(order_id: str) -> None:
        note(Seen("cancel", {"order_id": order_id}))

    @at("report")
    @supervised("report", lambda name, page: {"page": page})
    async def report(name: str, page: int) -> None:
        note(Seen("report", {"name": name}, {"page": page}))

    @at("note")
    @supervised("note", lambda text, amount: {"text": text, "amount": amount})
    async def take_note(text: Annotated[str, Form()], amount: Annotated[int | float, Form()]) -> None:
        note(Seen("note", form={"text": text, "amount": amount}))

    def whole(body: Any, wanted: str | None) -> dict[str, Any]:
        """As the payload that a rule makes of the request, so that their digests can be compared."""
        return {"path": {}, "query": {"all": wanted} if wanted else {}, "body": body, "body_status": "parsed"}

    @at("export")
    @supervised("export", whole)
    async def export(
        body: Annotated[dict[str, Any], Body()], wanted: Annotated[str | None, Query(alias="all")] = None
    ) -> None:
        note(Seen("export", query={"all": wanted} if wanted else {}, body=body))

    @at("transfer")
    @supervised("transfer")
    async def transfer(body: Amount) -> None:
        note(Seen("transfer", body={"amount": body.amount}))

    @at("item")
    @supervised("item", lambda number: {"number": number})
    async def item(number: int) -> None:
        note(Seen("item", {"number": number}))

    @at("unknown")
    @supervised("unknown")
    async def unknown(body: Annotated[dict[str, Any], Body()]) -> None:
        note(Seen("unknown", body=body))

    for name in ("free", "slashed"):

        @at(name)
        async def unguarded(request: Request, route: Any = None, name: str = name) -> None:
            note(await seen(routes[name], request))

    return api


@contextlib.contextmanager
def harness(folder: Path, mode: str) -> Iterator[Site]:
    """The application; its guard is closed afterwards."""
    guard = Guard(settings(folder, mode, contract.POLICY))
    saw: list[Seen] = []
    try:
        yield Site(guard, saw, functools.partial(asgi, app(saw.append, guard)), own=OWN, label=_label)
    finally:
        guard.close()


def _label(route: str) -> str:
    return route.replace(":int", "")
