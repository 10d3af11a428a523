"""A Django project under ASGI that asks a service, whose address is in the folder's file `service`: `app`.

The header `x-variant` chooses where a middleware stands that knows threads only: `loop` has none, it is `outside` of
ours or `inside`. The variant `control` is for tests that wait.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from tests.integrations.django_project import start

FOLDER = Path(os.environ["SERVER_APP_FOLDER"])
start(FOLDER)

from django.conf import settings  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from rest_framework.decorators import api_view, permission_classes  # noqa: E402
from rest_framework.response import Response  # noqa: E402

from supervisor_guards_django.decorators import supervised_view  # noqa: E402
from supervisor_guards_django.rest_framework import supervised_permission  # noqa: E402
from tests.integrations.django_project import served_views  # noqa: E402
from tests.remote.peers import APP_ID, SECRET  # noqa: E402

GUARDS = {
    "MODE": "enforce",
    "BASE_URL": (FOLDER / "service").read_text(),
    "APP_ID": APP_ID,
    "SECRET": SECRET,
    "EVALUATE_TIMEOUT_SECONDS": 60,
    "STATE_DIR": str(FOLDER / ".supervisor"),
    "RULES": served_views.RULES,
}


@csrf_exempt
@supervised_view("counted", body="none")
def decorated(request: HttpRequest) -> HttpResponse:
    return served_views.plain(request)


@csrf_exempt
@supervised_view("counted", body="none")
async def adecorated(request: HttpRequest) -> HttpResponse:
    return served_views.plain(request)


@api_view(["POST"])
@permission_classes([supervised_permission("counted", body="none")])
def permitted(request: Any) -> Response:
    served_views.note(request, "plain")
    return Response()


urlpatterns = [
    *served_views.urlpatterns,
    path("decorated", decorated),
    path("adecorated", adecorated),
    path("permitted", permitted),
]


class InThreads:
    """A middleware that knows threads only."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)


class Project:
    """The three handlers, how many requests are in progress, and how many clients have left."""

    def __init__(self) -> None:
        override_settings(ROOT_URLCONF=__name__, SUPERVISOR_GUARDS=GUARDS).enable()
        *before, ours = settings.MIDDLEWARE
        threads = f"{__name__}.InThreads"
        stacks = {"loop": [*before, ours], "outside": [threads, *before, ours], "inside": [*before, ours, threads]}
        self._handlers = {}
        for name, middleware in stacks.items():
            with override_settings(MIDDLEWARE=middleware):
                self._handlers[name] = ASGIHandler()
        self._changed = asyncio.Condition()
        self._active = self._left = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError("Django speaks http only")
        variant = dict(scope["headers"])[b"x-variant"].decode()
        if variant == "control":
            await self._control(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"{}"})
            return

        answered = False

        async def watched() -> Any:
            message = await receive()
            # Servers also say so of a request that they have answered.
            if message["type"] == "http.disconnect" and not answered:
                await self._count(left=1)
            return message

        async def answering(message: Any) -> None:
            nonlocal answered
            answered = answered or (message["type"] == "http.response.body" and not message.get("more_body"))
            await send(message)

        await self._count(active=1)
        try:
            await self._handlers[variant](scope, watched, answering)
        finally:
            await self._count(active=-1)

    async def _control(self, path: str) -> None:
        """`/flush` answers when no request is in progress, `/left` when a client has left."""
        async with self._changed:
            if path == "/flush":
                await self._changed.wait_for(lambda: self._active == 0)
            elif path == "/left":
                await self._changed.wait_for(lambda: self._left > 0)
                self._left = 0

    async def _count(self, active: int = 0, left: int = 0) -> None:
        async with self._changed:
            self._active += active
            self._left += left
            self._changed.notify_all()


app = Project()
