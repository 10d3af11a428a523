"""The shop's back office. An agent works with it, and three of its actions are risky.

E-mails and account deletions are guarded by rules in the settings: these views don't know. The refund is guarded in its
view, after REST framework has authenticated the sender and parsed the body.
"""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from rest_framework.response import Response
from rest_framework.serializers import CharField, DecimalField, Serializer
from rest_framework.views import APIView

from example_apps.django_refunds.models import Account, Email, Order
from supervisor_guards_django.rest_framework import SupervisedMixin


class NewRefund(Serializer):
    amount = DecimalField(max_digits=10, decimal_places=2, min_value=1)
    reason = CharField(required=False, allow_blank=True)


def order(request: HttpRequest, order_id: str) -> JsonResponse:
    found = get_object_or_404(Order, pk=order_id)
    return JsonResponse({"order_id": order_id, "total": found.total, "refunded": found.refunded})


class Refunds(SupervisedMixin, APIView):
    """The policy judges what REST framework parsed: an amount sent as a text is a number there."""

    supervised_action = "refund"
    supervised_payload = ("path.order_id", "body.amount:number")

    def post(self, request: Any, order_id: str) -> Response:
        new = NewRefund(data=request.data)
        new.is_valid(raise_exception=True)
        valid: Any = new.validated_data
        found = get_object_or_404(Order, pk=order_id)
        found.refund(valid["amount"])
        return Response({"order_id": order_id, "refunded": found.refunded})


@csrf_exempt  # who comes with a token brings no cookie that a foreign page could use
@require_POST
def send_email(request: HttpRequest) -> JsonResponse:
    new = json.loads(request.body)
    Email(recipients=new["recipients"], subject=new["subject"], body=new["body"]).save()
    return JsonResponse({"sent_to": len(new["recipients"])})


@method_decorator(csrf_exempt, name="dispatch")
class DeleteAccount(View):
    def delete(self, request: HttpRequest, account: str) -> JsonResponse:
        get_object_or_404(Account, pk=account).delete()
        return JsonResponse({"deleted": account})
