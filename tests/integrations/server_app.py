"""The ASGI applications that the real servers run, in the folder `SERVER_APP_FOLDER`.

`app` holds all variants in one process, and the header `x-variant` chooses: `bare`; the same in `shadow` and in
`enforce`; and in shadow with a supervisor that denies everything, raises, or hangs. None of them gets a lifespan.
The variant `control` is for tests that wait for something.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from supervisor_guards import Guard
from supervisor_guards_asgi import SupervisorMiddleware
from tests.engine import FakeSupervisor, settings
from tests.integrations.server_routes import DENY_ALL, POLICY, RULES, Notes, make_app

FOLDER = Path(os.environ["SERVER_APP_FOLDER"])


def _raise(action: Any) -> Any:
    raise RuntimeError("a supervisor that raises")


class Variants:
    """The dispatcher."""

    def __init__(self) -> None:
        self.notes = Notes(FOLDER / "ran")
        self.guards: dict[str, Guard] = {}
        self.apps: dict[str, Any] = {}
        self.released = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        variant = dict(scope["headers"]).get(b"x-variant", b"bare").decode()
        if variant == "control":
            answer = await self._control(Request(scope, receive))
            await answer(scope, receive, send)
            return
        self.notes.count(1)
        try:
            if variant not in self.apps:
                self.apps[variant] = self.make(variant, anyio.lowlevel.current_token())
            await self.apps[variant](scope, receive, send)
        finally:
            self.notes.count(-1)

    def make(self, variant: str, token: Any = None) -> Any:
        """The application of `variant`, with a guard of its own. `token` stands for the event loop."""
        app = make_app(variant, self.notes, FOLDER / "file.txt")
        if variant == "bare":
            return app
        folder = FOLDER / variant
        folder.mkdir(exist_ok=True)
        supervisors = {
            "raising": FakeSupervisor(judge=_raise),
            "hanging": FakeSupervisor(recording=self._hang),
        }
        mode = "enforce" if variant == "enforce" else "shadow"
        config = settings(folder, mode, DENY_ALL if variant == "denying" else POLICY)
        guard = self.guards[variant] = Guard(config, supervisors.get(variant))

        def tell(event: Any) -> None:
            if event.kind == "review" and token is not None:
                anyio.from_thread.run_sync(self.notes.signal, "review", token=token)

        guard.add_hook(tell)
        app.add_middleware(SupervisorMiddleware, guard=guard, rules=RULES)
        return app

    def _hang(self) -> None:
        self.released.wait()

    async def _control(self, request: Request) -> Response:
        """`/seen?note=`, `/begun?count=` and `/idle` answer when that is so; `/flush?variant=` stores what is left."""
        name, query = request.url.path.strip("/"), request.query_params
        if name == "seen":
            await self.notes.seen(query["note"])
        elif name == "begun":
            await self.notes.until(lambda: self.notes.begun >= int(query["count"]))
        elif name == "flush":
            await self.notes.until(lambda: self.notes.active == 0)
            guard = self.guards.get(query["variant"])
            if guard is not None:
                await anyio.to_thread.run_sync(guard.flush)
        return JSONResponse({"pid": os.getpid(), "begun": self.notes.begun})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                self.released.set()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


app = Variants()
