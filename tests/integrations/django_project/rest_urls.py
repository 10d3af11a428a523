"""The contract's routes with views of Django REST framework, which parse and authenticate by themselves."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from django.urls import path
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.integrations.contract import UNREAD, Seen
from tests.integrations.django_project.views import RAN, ROUTE


def ran(name: str, request: Any, kwargs: dict[str, Any]) -> Response:
    """Note what the framework's parsers found, and answer. Where they refuse the body (400, 415), nothing is done."""
    data: Any = UNREAD if ROUTE[name].reads == "nothing" else request.data
    if isinstance(data, QueryDict):
        data = {key: value if isinstance(value, str) else UNREAD for key, value in data.dict().items()}
    RAN.append(Seen(name, kwargs, request.query_params.dict(), data, data))
    return Response({"ran": name})


def handler(name: str) -> Any:
    """A method of a view."""

    def handle(self: APIView, request: Any, **kwargs: Any) -> Response:
        return ran(name, request, kwargs)

    return handle


def view(**names: str) -> Any:
    """A view with a handler for each method. It wants the bytes too, as one that checks a signature does."""

    def initial(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        APIView.initial(self, request, *args, **kwargs)
        assert request.content_type.startswith("multipart/") or request.body is not None

    members = {method: handler(name) for method, name in names.items()}
    return type("Route", (APIView,), {**members, "renderer_classes": (JSONRenderer,), "initial": initial}).as_view()


urlpatterns = [
    path("refunds/<str:order_id>", view(post="refund", delete="cancel"), name="refund"),
    path("reports/<str:name>", view(get="report"), name="report"),
    *(path(name + "s", view(post=name), name=name) for name in ("note", "export", "transfer")),
    path("items/<int:number>", view(delete="item"), name="item"),
    path("free", view(post="free"), name="free"),
    path("slashed/", view(post="slashed"), name="slashed"),
    path("unknown", view(post="unknown"), name="unknown"),
]
