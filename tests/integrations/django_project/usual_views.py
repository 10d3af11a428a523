"""What usual sites do: forms with CSRF, the admin, sessions, transactions, streams, errors."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.auth.views import LoginView
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

site = admin.AdminSite()
site.register(Group)
site.register(User)


def form(request: HttpRequest) -> HttpResponse:
    """A form with a token, and what was sent."""
    sent = {name: request.POST.getlist(name) for name in request.POST if name != "csrfmiddlewaretoken"}
    files = {name: file.read().decode() for name, file in request.FILES.items()}
    page = engines["django"].from_string("{% csrf_token %}{{ sent }}{{ files }}")
    return TemplateResponse(request, page, {"sent": sent, "files": files})


@csrf_exempt
def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield from (b"%d," % number * 100 for number in range(20))

    return StreamingHttpResponse(parts())


@csrf_exempt
async def astream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(20):
            yield b"%d," % number * 100

    return StreamingHttpResponse(parts())


@csrf_exempt
def file(request: HttpRequest) -> FileResponse:
    return FileResponse(open(os.path.abspath(__file__), "rb"))


@csrf_exempt
def whole(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


@csrf_exempt
def parsed(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"fields": len(request.POST), "files": len(request.FILES)})


@csrf_exempt
def visits(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


@csrf_exempt
def writing(request: HttpRequest) -> HttpResponse:
    Group.objects.create(name=request.GET["name"])
    if "fail" in request.GET:
        raise RuntimeError("after the write")
    return HttpResponse("written")


@csrf_exempt
def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


VIEWS: dict[str, Any] = {
    "form": form, "stream": stream, "file": file, "whole": whole, "parsed": parsed, "visits": visits,
    "writing": writing, "who": who, "astream": astream,
}  # fmt: skip
urlpatterns = [
    *(path(name, view, name=name) for name, view in VIEWS.items()),
    path("login", LoginView.as_view(), name="login"),
    path("admin/", site.urls),
]
