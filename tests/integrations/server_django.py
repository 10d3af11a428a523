"""The Django project that the real servers run, in the folder `SERVER_APP_FOLDER`: `app`, of WSGI or,
with `SERVER_APP_ASYNC`, of ASGI.

The header `x-variant` chooses as in `server_app`: `bare` is the project without the middleware; the others are one
at a time, as a Django process has one `SUPERVISOR_GUARDS`. The variant `control` is for tests that wait.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio.to_thread

from tests.integrations.django_project import start

FOLDER = Path(os.environ["SERVER_APP_FOLDER"])
start(FOLDER)

from django.conf import settings  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.signals import request_finished, request_started  # noqa: E402
from django.test import override_settings  # noqa: E402

from supervisor_guards_django import conf  # noqa: E402
from tests.engine import FakeSupervisor, default_guard  # noqa: E402
from tests.engine import settings as engine_settings  # noqa: E402
from tests.integrations.django_client import guards  # noqa: E402
from tests.integrations.django_project import served_views  # noqa: E402

ROOT_URLCONF = served_views.__name__
OURS = "supervisor_guards_django.middleware.SupervisorMiddleware"
WITHOUT = [path for path in settings.MIDDLEWARE if path != OURS]


def _raise(action: Any) -> Any:
    raise RuntimeError("a supervisor that raises")


class Project:
    """One process of the project: which variant is on, and how many requests are in progress."""

    def __init__(self, handler: Any) -> None:
        override_settings(ROOT_URLCONF=ROOT_URLCONF).enable()
        with override_settings(MIDDLEWARE=WITHOUT):
            self._bare = handler()
        self._guarded = handler()
        self._on: str | None = None
        self._parts = contextlib.ExitStack()
        self._hangs = threading.Event()
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        self._active = 0
        request_started.connect(self._begun, weak=False)
        request_finished.connect(self._ended, weak=False)

    def handler(self, variant: str) -> Any:
        """Django's handler for `variant`, which is on from here on."""
        if variant == "bare":
            return self._bare
        with self._lock:
            if self._on != variant:
                self._become(variant)
            return self._guarded

    def control(self, path: str, query: str) -> bytes:
        """`/flush?variant=` answers when no request is in progress and what was decided is stored."""
        if path == "/flush":
            with self._changed:
                self._changed.wait_for(lambda: self._active == 0)
            with self._lock:
                if parse_qs(query)["variant"] == [self._on]:
                    conf.guard().flush()
        return json.dumps({"pid": os.getpid()}).encode()

    def _become(self, variant: str) -> None:
        self._hangs.set()
        self._parts.close()
        folder = FOLDER / variant
        folder.mkdir(exist_ok=True)
        mode = "enforce" if variant == "enforce" else "shadow"
        policy = served_views.DENY_ALL if variant == "denying" else served_views.POLICY
        values = guards(folder, mode, policy, RULES=served_views.RULES)
        self._parts.enter_context(override_settings(SUPERVISOR_GUARDS=values))
        if variant in ("raising", "hanging"):
            hangs = self._hangs = threading.Event()
            fake = FakeSupervisor(judge=_raise) if variant == "raising" else FakeSupervisor(recording=hangs.wait)
            self._parts.enter_context(default_guard(engine_settings(folder, mode), fake))
        self._on = variant

    def _begun(self, **kwargs: Any) -> None:
        self._count(1)

    def _ended(self, **kwargs: Any) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self._active += change
            self._changed.notify_all()


def make_wsgi() -> Any:
    project = Project(WSGIHandler)

    def wsgi(environ: Any, start_response: Any) -> Any:
        variant = environ.get("HTTP_X_VARIANT", "enforce")
        if variant != "control":
            return project.handler(variant)(environ, start_response)
        body = project.control(environ["PATH_INFO"], environ["QUERY_STRING"])
        start_response("200 OK", [("content-length", str(len(body)))])
        return [body]

    return wsgi


def make_asgi() -> Any:
    project = Project(ASGIHandler)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError("Django speaks http only")
        variant = dict(scope["headers"]).get(b"x-variant", b"enforce").decode()
        if variant != "control":
            await (await anyio.to_thread.run_sync(project.handler, variant))(scope, receive, send)
            return
        answer = functools.partial(project.control, scope["path"], scope["query_string"].decode())
        body = await anyio.to_thread.run_sync(answer)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    return app


if os.environ.get("SERVER_APP_ASYNC"):
    app = make_asgi()
else:
    app = make_wsgi()
