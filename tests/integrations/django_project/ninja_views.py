"""An API of django-ninja: two operations on one path, plain and async, its own authentication."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import path
from ninja import NinjaAPI, Schema
from ninja.security import APIKeyHeader

from supervisor_guards import supervised
from supervisor_guards_django.decorators import supervised_view
from supervisor_guards_django.ninja import handle_refusals


class Amount(Schema):
    amount: int


class Key(APIKeyHeader):
    param_name = "X-Key"

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        return User.objects.get_or_create(username=key)[0] if key else None


api = NinjaAPI(docs_url=None, openapi_url=None)
handle_refusals(api)


@api.post("/refunds/{order_id}", auth=Key())
@supervised_view("refund", payload=["path.order_id", "body.amount"])
def refund(request: HttpRequest, order_id: str, data: Amount) -> Any:
    return {"refunded": data.amount}


@api.delete("/refunds/{order_id}", auth=Key())
def cancel(request: HttpRequest, order_id: str) -> Any:
    return {"cancelled": order_id}


@api.post("/later")
@supervised_view("refund", payload=["body.amount"])
async def later(request: HttpRequest, data: Amount) -> Any:
    return {"refunded": data.amount}


@supervised("refund")
def pay(amount: int) -> int:
    return amount


@api.post("/inside")
def inside(request: HttpRequest, data: Amount) -> Any:
    return {"refunded": pay(data.amount)}


urlpatterns = [path("api/", api.urls)]
