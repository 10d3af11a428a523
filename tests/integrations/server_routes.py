"""What the real servers serve: the contract's routes, and more of everything a Starlette application may do.

Each endpoint notes `VARIANT NAME TAG`, where TAG is the request's header `x-tag`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from supervisor_guards_asgi import RouteRule
from tests.integrations import contract
from tests.integrations.asgi_apps import starlette_app

CAP = 262_144
"""`max_body_bytes` of `/upload`."""

_ALL = "path, upload, watched, closed, socket, counted, held"
_OTHERS = """
---
name: {name}
version: 1
action: [{actions}]
default: {default}
rules:
  - {{id: never, when: "payload.get('never') == 1", action: deny, reason: never}}
"""
POLICY = (
    contract.POLICY
    + _OTHERS.format(name="open", actions="path, upload, watched, counted", default="allow")
    + _OTHERS.format(name="closed", actions="closed, socket", default="deny")
    + _OTHERS.format(name="held", actions="held", default="review")
)
DENY_ALL = _OTHERS.format(
    name="none", actions=f"refund, refund.cancel, report, note, export, {_ALL}", default="deny"
).removeprefix("\n---\n")

_TAG = ["header.x-tag"]
RULES: tuple[Any, ...] = (
    *contract.RULES,
    *(
        RouteRule(route, "path", payload=_TAG)
        for route in ("POST /corpus", "POST /corpus/{id:int}", "/corpus/api/{id}", "POST /rest/{p:path}", "/over/{id}")
    ),
    *(
        RouteRule(route, "watched", payload=_TAG)
        for route in ("GET /stream", "GET /file", "GET /boom", "GET /background", "/inside", "/ws/open")
    ),
    RouteRule("POST /upload", "upload", max_body_bytes=CAP),
    RouteRule("POST /sse", "watched", payload=["body.amount"]),
    RouteRule("POST /endless", "watched", payload=["body.amount"]),
    RouteRule("POST /closed", "closed", payload=_TAG),
    RouteRule("/ws/closed", "socket", payload=_TAG),
    RouteRule("POST /counted", "counted", payload=_TAG),
    RouteRule("POST /held", "held", payload=_TAG, on_review="block"),
)


class Notes:
    """What happened: in a file that other processes read, and in memory for those who wait for it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._seen: set[str] = set()
        self._changed = anyio.Event()
        self.begun = self.active = 0

    def add(self, text: str) -> None:
        os.write(self._file, f"{text}\n".encode())
        self.signal(text)

    def signal(self, text: str) -> None:
        """Tell those who wait for `text`; nothing is written."""
        self._seen.add(text)
        self.changed()

    def count(self, change: int) -> None:
        """A request begins (1) or ends (-1)."""
        self.begun += max(0, change)
        self.active += change
        self.changed()

    def changed(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def until(self, condition: Any) -> None:
        while not condition():
            await self._changed.wait()

    async def seen(self, text: str) -> None:
        await self.until(lambda: text in self._seen)


class _Inside:
    """A plain ASGI application, mounted."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(f"inside {scope['path']}")(scope, receive, send)


def make_app(variant: str, notes: Notes, file: Path) -> Starlette:
    """The application, unguarded. `file` is what `/file` serves."""

    def note(connection: Any, name: str) -> None:
        notes.add(f"{variant} {name} {connection.headers.get('x-tag', '-')}")

    def ran(one: contract.Seen) -> None:
        notes.add(f"{variant} {one.name} -")

    async def plain(request: Request) -> Response:
        note(request, "plain")
        return JSONResponse({"path": request.scope["path"]})

    async def upload(request: Request) -> Response:
        note(request, "upload")
        digest, size = hashlib.sha256(), 0
        async for chunk in request.stream():
            digest.update(chunk)
            size += len(chunk)
        return JSONResponse({"sha256": digest.hexdigest(), "size": size})

    async def sse(request: Request) -> Response:
        body = await request.body()

        async def events() -> AsyncIterator[str]:
            yield f"data: {len(body)} gone={await request.is_disconnected()}\n\n"
            await notes.seen(request.headers["x-tag"])
            yield f"data: gone={await request.is_disconnected()}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def endless(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            while not await request.is_disconnected():
                await anyio.sleep(0.01)

        await request.body()
        note(request, "endless")
        return StreamingResponse(parts())

    async def signal(request: Request) -> Response:
        notes.signal(request.headers["x-tag"])
        return PlainTextResponse("done")

    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(20):
                yield b"%d," % number * 100

        return StreamingResponse(parts(), media_type="text/plain")

    async def serve_file(request: Request) -> Response:
        return FileResponse(file)

    async def boom(request: Request) -> Response:
        raise RuntimeError("an endpoint that raises")

    async def background(request: Request) -> Response:
        return PlainTextResponse("started", background=BackgroundTask(note, request, "after"))

    async def socket(websocket: WebSocket) -> None:
        note(websocket, "socket")
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text() + "!")
        await websocket.close()

    app = starlette_app(ran)
    app.router.routes += [
        Route("/corpus", plain, methods=["POST"]),
        Route("/corpus/{id:int}", plain, methods=["POST"]),
        Mount("/corpus/api", routes=[Route("/{id}", plain, methods=["POST"])]),
        Route("/rest/{p:path}", plain, methods=["POST"]),
        Route("/over/{id}", plain, methods=["GET", "POST"]),
        *(Route(path, plain, methods=["POST"]) for path in ("/closed", "/counted", "/held")),
        Route("/upload", upload, methods=["POST"]),
        Route("/sse", sse, methods=["POST"]),
        Route("/endless", endless, methods=["POST"]),
        Route("/signal", signal, methods=["POST"]),
        Route("/stream", stream),
        Route("/file", serve_file),
        Route("/boom", boom),
        Route("/background", background),
        Mount("/inside", app=_Inside()),
        *(WebSocketRoute(path, socket) for path in ("/ws/open", "/ws/closed")),
    ]
    return app
