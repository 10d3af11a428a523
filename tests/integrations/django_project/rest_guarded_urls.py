"""The contract's routes with views of Django REST framework that ask by themselves: by mixin, and by permission."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from supervisor_guards_django.rest_framework import SupervisedMixin, supervised_permission
from tests.integrations.contract import ACTIONS
from tests.integrations.django_project.rest_urls import handler, view


def _options(name: str) -> dict[str, Any]:
    return {key: value for key, value in ACTIONS[name].items() if key == "max_body_bytes"}


def mixed(method: str, name: str) -> Any:
    """A view with the mixin."""
    members = {
        method: handler(name),
        "renderer_classes": (JSONRenderer,),
        "supervised_action": ACTIONS[name]["action"],
        "supervised_payload": ACTIONS[name].get("payload"),
        "supervised_options": _options(name),
    }
    return type("Mixed", (SupervisedMixin, APIView), members).as_view()


def permitted(**names: str) -> Any:
    """A view with a permission for each of its methods."""
    asked = [
        supervised_permission(
            ACTIONS[name]["action"], payload=ACTIONS[name].get("payload"), methods=[method.upper()], **_options(name)
        )
        for method, name in names.items()
    ]
    members = {method: handler(name) for method, name in names.items()}
    asking = {"permission_classes": asked, "renderer_classes": (JSONRenderer,)}
    return type("Permitted", (APIView,), {**members, **asking}).as_view()


urlpatterns = [
    path("refunds/<str:order_id>", permitted(post="refund", delete="cancel"), name="refund"),
    path("reports/<str:name>", mixed("get", "report"), name="report"),
    path("notes", mixed("post", "note"), name="note"),
    path("exports", mixed("post", "export"), name="export"),
    path("transfers", permitted(post="transfer"), name="transfer"),
    path("items/<int:number>", mixed("delete", "item"), name="item"),
    path("free", view(post="free"), name="free"),
    path("slashed/", view(post="slashed"), name="slashed"),
    path("unknown", mixed("post", "unknown"), name="unknown"),
]
