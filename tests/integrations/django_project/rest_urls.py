"""The contract's routes with views of Django REST framework, which parse and authenticate by themselves."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.integrations.django_project.views import RAN


def view(**names: str) -> Any:
    """A view with a handler for each method, which notes its name."""

    def handle(name: str) -> Any:
        def handler(self: APIView, request: Any, **kwargs: Any) -> Response:
            RAN.append(name)
            assert request.body is not None
            return Response({"ran": name})

        return handler

    return type("Route", (APIView,), {method: handle(name) for method, name in names.items()}).as_view()


urlpatterns = [
    path("refunds/<str:order_id>", view(post="refund", delete="cancel"), name="refund"),
    path("reports/<str:name>", view(get="report"), name="report"),
    *(path(name + "s", view(post=name), name=name) for name in ("note", "export")),
    path("free", view(post="free"), name="free"),
    path("slashed/", view(post="slashed"), name="slashed"),
    path("unknown", view(post="unknown"), name="unknown"),
]
