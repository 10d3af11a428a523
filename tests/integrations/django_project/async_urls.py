"""The contract's routes with views on the event loop."""

from __future__ import annotations

from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from tests.integrations.django_project.views import AsyncRefund, coroutine

urlpatterns = [
    path("refunds/", include([path("<str:order_id>", csrf_exempt(AsyncRefund.as_view()), name="refund")])),
    path("reports/<str:name>", coroutine("report"), name="report"),
    *(path(name + "s", coroutine(name), name=name) for name in ("note", "export", "transfer")),
    path("items/<int:number>", coroutine("item"), name="item"),
    path("free", coroutine("free"), name="free"),
    path("slashed/", coroutine("slashed"), name="slashed"),
    path("unknown", coroutine("unknown"), name="unknown"),
]
