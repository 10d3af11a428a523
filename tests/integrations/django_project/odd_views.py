"""Views that a guard could get in the way of: forms, uploads, streams, sessions, plain guards inside."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

from django.contrib.auth.models import User
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from supervisor_guards import supervised, supervised_async

LOOP_THREADS: list[int] = []
CONTEXTS: list[contextvars.Context] = []


def form(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    return JsonResponse({name: request.POST.getlist(name) for name in request.POST})


class Counting(MemoryFileUploadHandler):
    """An upload handler of the view's own."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        self.request.handled = True  # type: ignore[union-attr]
        super().new_file(*args, **kwargs)


@csrf_exempt
def own_handlers(request: HttpRequest) -> HttpResponse:
    request.upload_handlers = [Counting(request)]
    return upload(request)


@csrf_protect
def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    return JsonResponse({"content": file.read().decode(), "handled": getattr(request, "handled", False)})


@csrf_exempt
def by_chunks(request: HttpRequest) -> HttpResponse:
    total = 0
    while chunk := request.read(1000):
        total += len(chunk)
    return JsonResponse({"read": total})


@csrf_exempt
def by_lines(request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse(line for line in list(request))


@csrf_exempt
def whole(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


@csrf_exempt
def with_guard_inside(request: HttpRequest, amount: int) -> HttpResponse:
    User.objects.create(username=f"made-{amount}")
    return HttpResponse(refund(amount))


@csrf_exempt
async def with_async_guard_inside(request: HttpRequest, amount: int) -> HttpResponse:
    return HttpResponse(await arefund(amount))


@supervised("refund")
def refund(amount: int) -> str:
    return f"refunded {amount}"


@supervised_async("refund")
async def arefund(amount: int) -> str:
    return f"refunded {amount}"


@csrf_exempt
async def on_the_loop(request: HttpRequest) -> HttpResponse:
    LOOP_THREADS.append(threading.get_ident())
    return HttpResponse("done")


@csrf_exempt
def leaving(request: HttpRequest) -> HttpResponse:
    """Leaves its context to something that outlives the request."""
    CONTEXTS.append(contextvars.copy_context())
    return HttpResponse("done")


@csrf_exempt
def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the view's own failure")


orders = [path("<int:order_id>/refund", form, name="refund")]

urlpatterns = [
    path("form", form, name="form"),
    path("own-handlers", own_handlers, name="own-handlers"),
    path("upload", csrf_exempt(upload), name="upload"),
    path("chunks", by_chunks, name="chunks"),
    path("lines", by_lines, name="lines"),
    path("whole", whole, name="whole"),
    path("inside/<int:amount>", with_guard_inside, name="inside"),
    path("ainside/<int:amount>", with_async_guard_inside, name="ainside"),
    path("loop", on_the_loop, name="loop"),
    path("leaving", leaving, name="leaving"),
    path("broken", broken, name="broken"),
    path("orders/", include((orders, "orders"), namespace="shop")),
]
