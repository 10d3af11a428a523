"""The Django project that `benchmarks.django` measures: settings, views, and the middleware of each side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import django
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from benchmarks import workload

RULES = 100
SIDES = {
    "bare": (),
    "empty": (f"{__name__}.Empty",),
    "guarded": ("supervisor_guards_django.middleware.SupervisorMiddleware",),
}
"""The middleware that is listed."""


class Empty:
    """A middleware that does nothing, with a `process_view` that does nothing, in threads and on the loop."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)
            self.process_view = self.aprocess_view  # type: ignore[method-assign]

    def __call__(self, request: HttpRequest) -> Any:
        return self.acall(request) if self._async else self.get_response(request)

    async def acall(self, request: HttpRequest) -> Any:
        return await self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        return None

    async def aprocess_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        return None


def plain(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    return HttpResponse(b"ok" if request.body is not None else b"")


async def coroutine(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    return HttpResponse(b"ok" if request.body is not None else b"")


_KINDS = {"": plain, "/a": coroutine}
_MODES = ("free", "shadow", "enforce")
urlpatterns = [path(mode + kind, view) for mode in _MODES for kind, view in _KINDS.items()]


def start(folder: Path) -> None:
    """Configure Django, with rules for `shadow` and `enforce` and none for `free`."""
    policy = folder / "policy.yaml"
    policy.write_text(workload.policy(workload.conditions(RULES)))
    fields = [f"body.{name}" for name in workload.FIELDS]
    rules = [
        {"route": f"POST /{mode}{kind}", "action": workload.ACTION, "payload": fields, "mode": mode}
        for mode in ("shadow", "enforce")
        for kind in _KINDS
    ]
    settings.configure(
        SECRET_KEY="not-secret",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
        SUPERVISOR_GUARDS={"POLICY": str(policy), "STATE_DIR": str(folder / "state"), "RULES": rules},
    )
    django.setup()
