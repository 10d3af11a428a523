"""One guarded refund, in each way there is to guard it. Every view writes to the application's own database first."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import Group
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST
from ninja import NinjaAPI, Schema
from rest_framework.decorators import api_view, permission_classes
from rest_framework.response import Response

from supervisor_guards import supervised
from supervisor_guards_django.decorators import supervised_view
from supervisor_guards_django.ninja import handle_refusals
from supervisor_guards_django.rest_framework import supervised_permission

api = NinjaAPI(docs_url=None, openapi_url=None)
handle_refusals(api)


class Amount(Schema):
    amount: int


def noted(name: str) -> None:
    """Read and write, as an application does in its request's transaction."""
    Group.objects.create(name=f"{name} {Group.objects.count()}")


@supervised("refund")
def pay(amount: int) -> int:
    return amount


@require_POST
def by_middleware(request: HttpRequest) -> Any:
    noted("middleware")
    return JsonResponse({"paid": True})


@supervised_view("refund", payload=["body.amount"])
def by_decorator(request: HttpRequest) -> Any:
    noted("decorator")
    return JsonResponse({"paid": True})


def inside(request: HttpRequest) -> Any:
    noted("inside")
    paid = pay(json.loads(request.body)["amount"])
    noted("after")
    return JsonResponse({"paid": paid})


@api_view(["POST"])
@permission_classes([supervised_permission("refund", payload=["body.amount"])])
def by_permission(request: Any) -> Response:
    noted("permission")
    return Response({"paid": True})


@api.post("/operation")
@supervised_view("refund", payload=["body.amount"])
def operation(request: HttpRequest, data: Amount) -> Any:
    noted("operation")
    return {"paid": data.amount}


@api.post("/inside")
def operation_inside(request: HttpRequest, data: Amount) -> Any:
    noted("operation-inside")
    return {"paid": pay(data.amount)}


@require_POST
def bare(request: HttpRequest) -> Any:
    return JsonResponse({"paid": True})


urlpatterns = [
    path("bare", bare, name="bare"),
    path("middleware", by_middleware, name="by-middleware"),
    path("decorator", by_decorator),
    path("inside", inside),
    path("permission", by_permission),
    path("ninja/", api.urls),
]
