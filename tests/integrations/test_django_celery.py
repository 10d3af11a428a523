"""Tasks that a view of the project sends carry its request, and the answer is what it is without them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from supervisor_guards import observing, supervised
from supervisor_guards.celery import HEADER, carry_context
from supervisor_guards.web import User
from tests.integrations import django_client

from django.contrib.auth.models import User as Account  # isort: skip
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

app = Celery("shop", broker="memory://", set_as_current=False)


@app.task(name="refund-later", shared=False)
@supervised("refund")
def refund_later(order_id: str) -> None:
    raise AssertionError("nobody works here")


@csrf_exempt
def send_task(request: Any, order_id: str) -> HttpResponse:
    with observing(goal="later"):
        refund_later.delay(order_id)
    return HttpResponse("sent")


async def asend_task(request: Any, order_id: str) -> HttpResponse:
    await request.auser()
    return send_task(request, order_id)


@csrf_exempt
def guard_inside(request: Any) -> HttpResponse:
    return HttpResponse(supervised("refund")(lambda amount: f"refunded {amount}")(1))


urlpatterns = [
    path("later/<str:order_id>", send_task),
    path("alater/<str:order_id>", csrf_exempt(asend_task)),
    path("inside", guard_inside),
]


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Iterator[None]:
    carry_context()
    with app.connection_for_write() as connection, connection.SimpleQueue("celery") as queue:
        queue.clear()
    with override_settings(ROOT_URLCONF=__name__), django_client.guarded(tmp_path, "shadow", RULES=[]):
        yield
    Account.objects.all().delete()


@pytest.fixture
def cookies() -> Any:
    """Of a session that Ada has signed in to."""
    from django.test import Client

    client = Client()
    client.force_login(Account.objects.create(username="ada", pk=7))
    return client.cookies


def received() -> dict[str, Any]:
    """What the message that waits at the broker carries."""
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("celery")
        message = queue.get(timeout=10)
        message.ack()
        queue.close()
    found: dict[str, Any] = json.loads(message.headers[HEADER])
    return found


@pytest.mark.parametrize(("handler", "route"), [("wsgi", "later"), ("asgi", "alater")])
def test_a_task_carries_the_request_it_was_sent_in(handler: str, route: str, cookies: Any) -> None:
    answer = django_client.send(handler, "POST", f"/{route}/A-1", cookies=cookies)
    assert answer.content == b"sent"
    carried = received()
    assert carried["context"] == {"goal": "later"}
    assert carried["facts"]["subject"] == "7"
    assert carried["facts"]["route"] == f"POST /{route}/<str:order_id>"
    assert carried["facts"]["request"]["user"]["state"] == "known"


def test_it_carries_the_resolver_s_tenant_and_the_approvals(cookies: Any) -> None:
    settings = {"MODE": "shadow", "USER_RESOLVER": lambda request: User("ada", tenant="acme")}
    with override_settings(SUPERVISOR_GUARDS=settings):
        headers = {"Supervisor-Approval": "0123456789abcdef"}
        django_client.send("wsgi", "POST", "/later/A-1", cookies=cookies, headers=headers)
    carried = received()
    assert (carried["facts"]["subject"], carried["facts"]["tenant"]) == ("ada", "acme")
    assert carried["approvals"] == ["0123456789abcdef"]


@pytest.mark.parametrize("target", ["/later/A-1", "/inside"])
def test_the_answer_doesn_t_show_that_the_sender_was_looked_at(target: str, cookies: Any) -> None:
    with override_settings(MIDDLEWARE=[one for one in _middleware() if "Supervisor" not in one]):
        without = django_client.send("wsgi", "POST", target, cookies=cookies)
    with_guard = django_client.send("wsgi", "POST", target, cookies=cookies)
    assert dict(with_guard.items()) == dict(without.items())
    assert "Vary" not in with_guard


def _middleware() -> list[str]:
    from django.conf import settings

    found: list[str] = settings.MIDDLEWARE
    return found
