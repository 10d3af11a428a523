"""The contract's views: each notes its name, and reads the whole body."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views import View
from django.views.decorators.csrf import csrf_exempt

RAN: list[str] = []


def _ran(name: str, request: HttpRequest) -> JsonResponse:
    RAN.append(name)
    assert request.body is not None
    return JsonResponse({"ran": name})


def plain(name: str) -> Any:
    """A function view."""

    @csrf_exempt
    def view(request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return _ran(name, request)

    return view


def coroutine(name: str) -> Any:
    """The same on the event loop."""

    @csrf_exempt
    async def view(request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return _ran(name, request)

    return view


class Refund(View):
    def post(self, request: HttpRequest, order_id: str) -> JsonResponse:
        return _ran("refund", request)

    def delete(self, request: HttpRequest, order_id: str) -> JsonResponse:
        return _ran("cancel", request)


class AsyncRefund(View):
    async def post(self, request: HttpRequest, order_id: str) -> JsonResponse:
        return _ran("refund", request)

    async def delete(self, request: HttpRequest, order_id: str) -> JsonResponse:
        return _ran("cancel", request)
