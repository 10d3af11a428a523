"""Views of Django REST framework: the contract's routes, a view set, permissions, tokens."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.urls import path
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler
from rest_framework.viewsets import ViewSet

from supervisor_guards_django.rest_framework import Refused, SupervisedMixin, supervised_permission

HANDLED: list[Exception] = []


class ByHeader(BaseAuthentication):
    """A token: the user's name in a header."""

    def authenticate(self, request: Any) -> Any:
        name = request.headers.get("X-Token")
        if name is None:
            return None
        if name == "wrong":
            raise AuthenticationFailed
        return User.objects.get_or_create(username=name)[0], None


class View(SupervisedMixin, APIView):
    authentication_classes = (ByHeader,)


class Refund(View):
    supervised_action = "refund"
    supervised_payload = ("body.amount",)

    def get(self, request: Any) -> Response:
        return Response({"form": True})

    def post(self, request: Any) -> Response:
        return Response({"data": request.data})

    def put(self, request: Any) -> Response:
        return Response({"file": request.data["file"].read().decode()})


class Refunds(SupervisedMixin, ViewSet):
    authentication_classes = (ByHeader,)
    supervised_action = {"create": "refund", "destroy": "refund.cancel"}  # noqa: RUF012
    supervised_payload = ("body.amount",)

    def list(self, request: Any) -> Response:
        return Response([])

    def create(self, request: Any) -> Response:
        return Response({"created": request.data})

    def destroy(self, request: Any) -> Response:
        return Response({"gone": True})


@api_view(["GET", "POST"])
@authentication_classes([ByHeader])
@permission_classes([IsAuthenticated, supervised_permission("refund", payload=["body.amount"])])
def permitted(request: Any) -> Response:
    return Response({"data": request.data})


@api_view(["POST"])
@permission_classes([supervised_permission("refund", payload=["body.amount"])])
def failing(request: Any) -> Response:
    raise RuntimeError("the view's own failure")


def handler(error: Exception, context: Any) -> Any:
    """The project's own exception handler."""
    HANDLED.append(error)
    if isinstance(error, Refused):
        return Response({"own": error.get_codes()}, status=error.status_code)
    return exception_handler(error, context)


urlpatterns = [
    path("refund", Refund.as_view(), name="refund"),
    path("refunds", Refunds.as_view({"get": "list", "post": "create", "delete": "destroy"}), name="refunds"),
    path("permitted", permitted, name="permitted"),
    path("failing", failing, name="failing"),
]
