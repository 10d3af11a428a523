"""What the real servers serve of Django: the contract's routes, and more of everything a project may do.

Each view notes `VARIANT NAME TAG`, by the request's headers `x-variant` and `x-tag`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from tests.integrations import contract
from tests.integrations.django_client import written
from tests.integrations.django_project import views
from tests.integrations.django_project.urls import urlpatterns as of_the_contract

FOLDER = Path(os.environ["SERVER_APP_FOLDER"])
OTHERS = """
---
name: open
version: 1
action: [path, watched, counted]
default: {default}
rules:
  - {{id: never, when: "payload.get('never') == 1", action: deny, reason: never}}
"""
POLICY = contract.POLICY + OTHERS.format(default="allow")
DENY_ALL = OTHERS.format(default="deny").replace("[", "[refund, refund.cancel, report, note, export, ")[5:]

_TAG = ["header.x-tag"]
_PATHS = ("corpus", "corpus/<int:id>", "corpus/api/<str:id>", "rest/<path:p>", "over/<str:id>", r"digits/(\d+)$")
RULES: list[dict[str, Any]] = [
    *({**rule, "route": written(rule["route"])} for rule in contract.RULES),
    *({"route": f"/{route}", "action": "path", "payload": _TAG} for route in _PATHS),
    *({"route": name, "action": "watched"} for name in ("stream", "astream", "file", "boom", "upload", "session")),
    {"route": "POST /counted", "action": "counted", "payload": _TAG},
]

_notes = os.open(FOLDER / "ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(request: HttpRequest, name: str) -> None:
    os.write(_notes, f"{request.headers['x-variant']} {name} {request.headers.get('x-tag', '-')}\n".encode())


class _Ran(threading.local):
    """The contract's views note in a list what they saw; who asked is known while the request is served."""

    request: Any = None

    def append(self, seen: contract.Seen) -> None:
        note(self.request, seen.name)


def _noting(view: Any) -> Any:
    @functools.wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        _ran.request = request
        return view(request, *args, **kwargs)

    return inner


_ran = _Ran()
views.RAN = _ran  # type: ignore[assignment]


@csrf_exempt
def plain(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    note(request, "plain")
    return JsonResponse({"path": request.path, "kwargs": kwargs})


@csrf_exempt
async def aplain(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    return plain(request, *args, **kwargs)


@csrf_exempt
def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        for number in range(20):
            yield b"%d," % number * 100

    note(request, "stream")
    return StreamingHttpResponse(parts())


@csrf_exempt
async def astream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(20):
            yield b"%d," % number * 100

    note(request, "astream")
    return StreamingHttpResponse(parts())


@csrf_exempt
def file(request: HttpRequest) -> FileResponse:
    return FileResponse((FOLDER / "file.txt").open("rb"))


@csrf_exempt
def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a view that raises")


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    digest, size = hashlib.sha256(), 0
    while chunk := request.read(10_000):
        digest.update(chunk)
        size += len(chunk)
    return JsonResponse({"sha256": digest.hexdigest(), "size": size})


@csrf_exempt
def session(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"visits": request.session.get("visits", 0)})


for _one in of_the_contract:
    for _leaf in getattr(_one, "url_patterns", [_one]):
        _leaf.callback = _noting(_leaf.callback)

urlpatterns = [
    *of_the_contract,
    path("corpus", plain, name="corpus"),
    path("corpus/", include([path("<int:id>", aplain), path("api/<str:id>", plain)])),
    path("rest/<path:p>", aplain),
    path("over/<str:id>", plain),
    re_path(r"^digits/(\d+)$", plain),
    path("counted", aplain if os.environ.get("SERVER_APP_ASYNC") else plain, name="counted"),
    path("stream", stream, name="stream"),
    path("astream", astream, name="astream"),
    path("file", file, name="file"),
    path("boom", boom, name="boom"),
    path("upload", upload, name="upload"),
    path("session", session, name="session"),
]
