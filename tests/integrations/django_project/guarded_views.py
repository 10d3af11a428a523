"""Views with a guard of their own, in every form, plain and async."""

from __future__ import annotations

import threading
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from supervisor_guards_django.decorators import SupervisedMixin, get_decision, supervised_view

RAN: list[int] = []
guard = supervised_view("refund", payload=["body.amount"])


def answer(request: HttpRequest) -> HttpResponse:
    RAN.append(threading.get_ident())
    decision = get_decision(request, "refund")
    return JsonResponse({"decided": decision is not None and decision.enforced, "size": len(request.body)})


@csrf_exempt
@guard
def function(request: HttpRequest) -> HttpResponse:
    return answer(request)


@guard
@csrf_exempt
async def afunction(request: HttpRequest) -> HttpResponse:
    return answer(request)


@method_decorator(csrf_exempt, name="dispatch")
@method_decorator(guard, name="dispatch")
class OnDispatch(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


@method_decorator(csrf_exempt, name="dispatch")
@method_decorator(guard, name="dispatch")
class AsyncOnDispatch(View):
    async def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


@method_decorator(csrf_exempt, name="dispatch")
class OnMethod(View):
    @method_decorator(guard)
    def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


@method_decorator(csrf_exempt, name="dispatch")
class AsyncOnMethod(View):
    @method_decorator(guard)
    async def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class Mixed(SupervisedMixin, View):
    supervised_action = "refund"
    supervised_payload = ("body.amount",)

    def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class AsyncMixed(SupervisedMixin, View):
    supervised_action = "refund"
    supervised_payload = ("body.amount",)

    async def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class Bare(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class AsyncBare(View):
    async def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


@guard
class Decorated(Bare):
    pass


@csrf_exempt
@login_required
@guard
def for_members(request: HttpRequest) -> HttpResponse:
    return answer(request)


def in_urls(view: Any) -> Any:
    return guard(csrf_exempt(view.as_view()))


VIEWS: dict[str, Any] = {
    "function": (function, afunction),
    "dispatch": (OnDispatch.as_view(), AsyncOnDispatch.as_view()),
    "method": (OnMethod.as_view(), AsyncOnMethod.as_view()),
    "mixin": (csrf_exempt(Mixed.as_view()), csrf_exempt(AsyncMixed.as_view())),
    "urls": (in_urls(Bare), in_urls(AsyncBare)),
    "class": (csrf_exempt(Decorated.as_view()), afunction),
}
urlpatterns = [
    *(path(name, pair[0], name=name) for name, pair in VIEWS.items()),
    *(path("a" + name, pair[1], name="a" + name) for name, pair in VIEWS.items()),
    path("members", for_members, name="members"),
]
