"""The contract's routes with plain views, two of them behind an include."""

from __future__ import annotations

from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from tests.integrations.django_project.views import Refund, plain

urlpatterns = [
    path("refunds/", include([path("<str:order_id>", csrf_exempt(Refund.as_view()), name="refund")])),
    path("reports/<str:name>", plain("report"), name="report"),
    *(path(name + "s", plain(name), name=name) for name in ("note", "export", "transfer")),
    path("items/<int:number>", plain("item"), name="item"),
    path("free", plain("free"), name="free"),
    path("slashed/", plain("slashed"), name="slashed"),
    path("unknown", plain("unknown"), name="unknown"),
]
