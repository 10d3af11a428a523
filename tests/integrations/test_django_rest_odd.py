"""Django REST framework used in other ways: batches, methods that change on their way, permissions chosen elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.urls import path  # isort: skip
from django.views.decorators.csrf import csrf_exempt  # isort: skip
from rest_framework.authentication import BaseAuthentication  # isort: skip
from rest_framework.permissions import AllowAny  # isort: skip
from rest_framework.mixins import UpdateModelMixin  # isort: skip
from rest_framework.response import Response  # isort: skip
from rest_framework.throttling import BaseThrottle  # isort: skip
from rest_framework.views import APIView  # isort: skip
from rest_framework.viewsets import GenericViewSet  # isort: skip

from supervisor_guards_django.rest_framework import SupervisedMixin, supervised_permission

HERE = __name__
POLICY = """
name: refunds
version: 1
action: [refund, refund.cancel]
rules:
  - {id: cap, when: payload.amount > 100, action: deny, reason: too-much}
"""
JSON = {"content-type": "application/json"}
RAN: list[str] = []
asking = supervised_permission("refund", payload=["body.amount"])


class Plain(APIView):
    """Asks nothing by itself."""

    def post(self, request: Any) -> Response:
        RAN.append("post")
        return Response({"data": request.data})

    def delete(self, request: Any) -> Response:
        RAN.append("delete")
        return Response({"gone": True})


class Asking(Plain):
    permission_classes = (asking,)


class AskingTwice(Plain):
    permission_classes = (AllowAny, asking, asking)


class Rechecking(Asking):
    """Looks at its permissions once more, as views that check objects do."""

    def post(self, request: Any) -> Response:
        self.check_permissions(request)
        return super().post(request)


class Chosen(Plain):
    """Chooses its permissions as it runs."""

    def get_permissions(self) -> list[Any]:
        return [asking()] if self.request.method == "POST" else []


@csrf_exempt
def batch(request: Any) -> Any:
    """Calls one view twice with one request, as batch endpoints do."""
    answers = [Asking.as_view()(request) for _ in range(2)]
    return max(answers, key=lambda answer: answer.status_code)


def becomes_delete(request: Any) -> None:
    if "override" in request.query_params:
        request._request.method = "DELETE"


class Overriding(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        becomes_delete(request)


class OverridingLate(BaseThrottle):
    def allow_request(self, request: Any, view: Any) -> bool:
        becomes_delete(request)
        return True


class Mixed(SupervisedMixin, Plain):
    supervised_action = {"post": "refund", "delete": "refund.cancel"}  # noqa: RUF012
    supervised_payload = ("amount=query.amount:integer",)
    throttle_classes = (OverridingLate,)


class Permitted(Plain):
    authentication_classes = (Overriding,)
    permission_classes = (
        supervised_permission("refund", payload=["amount=query.amount:integer"], methods=["POST"]),
        supervised_permission("refund.cancel", payload=["amount=query.amount:integer"], methods=["DELETE"]),
    )


class Updating(SupervisedMixin, UpdateModelMixin, GenericViewSet):
    """`partial_update` is the framework's, and calls `update`."""

    supervised_action = {"update": "refund"}  # noqa: RUF012
    supervised_payload = ("body.amount",)

    def update(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        RAN.append("update")
        return Response({})


urlpatterns = [
    path("given", Plain.as_view(permission_classes=[asking]), name="given"),
    path("chosen", Chosen.as_view(), name="chosen"),
    path("twice", AskingTwice.as_view(), name="twice"),
    path("rechecking", Rechecking.as_view(), name="rechecking"),
    path("batch", batch, name="batch"),
    path("mixed", Mixed.as_view(), name="mixed"),
    path("updating", Updating.as_view({"put": "update", "patch": "partial_update"})),
    path("permitted", Permitted.as_view(), name="permitted"),
]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    RAN.clear()


def amount(value: int) -> bytes:
    return json.dumps({"amount": value}).encode()


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("ruled", [False, True], ids=["alone", "with a rule of the same action"])
@pytest.mark.parametrize(
    ("name", "asked"), [("given", 1), ("chosen", 1), ("twice", 1), ("rechecking", 1), ("batch", 2)]
)
def test_each_call_of_a_view_is_asked_about_once(name: str, asked: int, ruled: bool, mode: str, tmp_path: Path) -> None:
    # A rule of the settings can't know what a view chooses as it runs, or calls: then both ask.
    unseen = ruled and name in ("chosen", "batch")
    rules = [{"route": name, "action": "refund", "payload": ["body.amount"]}] if ruled else []
    with guarded(tmp_path, mode, POLICY, RULES=rules, root_urlconf=HERE) as guard:
        assert send("wsgi", "POST", f"/{name}", amount(5), headers=JSON).status_code == 200
        assert len(RAN) == (2 if name == "batch" else 1)
        assert [row.action_type for row in rows(guard)] == ["refund"] * (asked + unseen)


@pytest.mark.parametrize("name", ["given", "chosen", "twice", "rechecking", "batch"])
def test_none_of_them_runs_what_is_denied(name: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=HERE) as guard:
        assert send("wsgi", "POST", f"/{name}", amount(500), headers=JSON).status_code == 403
        assert RAN == []
        assert {(row.action_type, row.outcome) for row in rows(guard)} == {("refund", "deny")}


@pytest.mark.parametrize("name", ["mixed", "permitted"])
@pytest.mark.parametrize(("query", "action", "ran"), [("", "refund", "post"), ("&override", "refund.cancel", "delete")])
def test_a_method_that_changes_on_its_way_is_the_one_that_runs(
    query: str, action: str, ran: str, name: str, tmp_path: Path
) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=HERE) as guard:
        assert send("wsgi", "POST", f"/{name}?amount=5{query}", headers=JSON).status_code == 200
        assert send("wsgi", "POST", f"/{name}?amount=500{query}", headers=JSON).status_code == 403
        assert [ran] == RAN
        assert [(row.action_type, row.outcome) for row in rows(guard)] == [(action, "deny"), (action, "allow")]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_update_in_part_is_an_update(method: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=HERE):
        assert send("wsgi", method, "/updating", amount(500), headers=JSON).status_code == 403
        assert RAN == []
        assert send("wsgi", method, "/updating", amount(5), headers=JSON).status_code == 200
        assert RAN == ["update"]
