"""The contract's views: each notes what it got, asking as an application does."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from tests.integrations.contract import ROUTES, UNREAD, Seen

RAN: list[Seen] = []
ROUTE = {route.name: route for route in ROUTES}
_REFUSED = (BadRequest, SuspiciousOperation, MultiPartParserError, UnicodeError)
"""What Django raises about a form."""


def ran(name: str, request: HttpRequest, kwargs: dict[str, Any]) -> JsonResponse:
    """Note what the request has, and answer."""
    reads, is_form = (
        ROUTE[name].reads,
        request.content_type
        in (
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ),
    )
    body: Any = UNREAD
    form: Any = UNREAD
    if reads != "form":
        assert request.body is not None
    if reads == "json":
        with contextlib.suppress(ValueError, RecursionError):
            body = json.loads(request.body)
    if reads == "form" or (reads == "json" and body is UNREAD and is_form):
        with contextlib.suppress(*_REFUSED):
            form = request.POST.dict()
        body = form if reads == "json" else body
    RAN.append(Seen(name, kwargs, request.GET.dict(), body, form))
    return JsonResponse({"ran": name})


def _methods(name: str) -> list[str]:
    method = ROUTE[name].method
    return [method, "HEAD"] if method == "GET" else [method]


def plain(name: str) -> Any:
    """A function view."""

    @csrf_exempt
    @require_http_methods(_methods(name))
    def view(request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return ran(name, request, kwargs)

    return view


def coroutine(name: str) -> Any:
    """The same on the event loop."""

    @csrf_exempt
    @require_http_methods(_methods(name))
    async def view(request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return ran(name, request, kwargs)

    return view


class Refund(View):
    def post(self, request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return ran("refund", request, kwargs)

    def delete(self, request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return ran("cancel", request, kwargs)


class AsyncRefund(View):
    async def post(self, request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return ran("refund", request, kwargs)

    async def delete(self, request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return ran("cancel", request, kwargs)
