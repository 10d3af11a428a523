"""Views that sign somebody in or out: in shadow as in enforce, the sender is who sent the request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded

from django.contrib.auth import alogin, alogout, login, logout  # isort: skip
from django.contrib.auth.models import User  # isort: skip
from django.contrib.auth.views import LoginView, LogoutView  # isort: skip
from django.http import HttpRequest, HttpResponse  # isort: skip
from django.test import AsyncClient, Client  # isort: skip
from django.urls import path  # isort: skip
from django.views.decorators.csrf import csrf_exempt  # isort: skip

from supervisor_guards_django.decorators import supervised_view

HERE = __name__
POLICY = """
name: all
version: 1
action: [sign-in, sign-out]
rules:
  - {id: never, when: "payload.get('never') == 1", action: deny, reason: never}
"""


@csrf_exempt
def signing_in(request: HttpRequest) -> HttpResponse:
    login(request, User.objects.get(username="ann"))
    return HttpResponse()


@csrf_exempt
async def asigning_in(request: HttpRequest) -> HttpResponse:
    await alogin(request, await User.objects.aget(username="ann"))
    return HttpResponse()


@csrf_exempt
def signing_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse()


@csrf_exempt
async def asigning_out(request: HttpRequest) -> HttpResponse:
    await alogout(request)
    return HttpResponse()


@csrf_exempt
def welcoming(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = 1
    return HttpResponse()


VIEWS: dict[str, Any] = {
    "in": signing_in,
    "ain": asigning_in,
    "django-in": csrf_exempt(LoginView.as_view(success_url="/")),
    "out": signing_out,
    "aout": asigning_out,
    "django-out": csrf_exempt(LogoutView.as_view(next_page="/")),
    "decorated-in": csrf_exempt(supervised_view("sign-in", body="none")(signing_in)),
    "decorated-out": csrf_exempt(supervised_view("sign-out", body="none")(signing_out)),
}
urlpatterns = [*(path(name, view, name=name) for name, view in VIEWS.items()), path("welcome", welcoming)]
RULES = [
    {"route": name, "action": "sign-out" if name.endswith("out") else "sign-in", "body": "none"}
    for name in VIEWS
    if not name.startswith("decorated")
]
FORM = {"username": "ann", "password": "secret"}


@pytest.fixture(autouse=True)
def ann() -> Iterator[User]:
    user = User.objects.create_user("ann", password=FORM["password"])
    yield user
    user.delete()


def visit(handler: str, signed_in: User | None, *targets: str) -> None:
    """A browser's requests; with `signed_in`, it begins with that user's session."""
    if handler == "wsgi":
        client = Client()
        if signed_in is not None:
            client.force_login(signed_in)
        for target in targets:
            assert client.post(target, FORM).status_code in (200, 302)
        return

    async def visiting() -> None:
        client = AsyncClient()
        if signed_in is not None:
            await client.aforce_login(signed_in)
        for target in targets:
            assert (await client.post(target, FORM)).status_code in (200, 302)

    asyncio.run(visiting())


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
@pytest.mark.parametrize("before", [(), ("/welcome",)], ids=["first visit", "with a session"])
@pytest.mark.parametrize("name", [name for name in VIEWS if name.endswith("in")])
def test_who_signs_in_was_nobody_before(
    name: str, before: tuple[str, ...], handler: str, mode: str, tmp_path: Path
) -> None:
    with guarded(tmp_path, mode, POLICY, root_urlconf=HERE, RULES=RULES) as guard:
        visit(handler, None, *before, f"/{name}")
        assert [(row.action_type, row.subject) for row in rows(guard)] == [("sign-in", None)]


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
@pytest.mark.parametrize("name", [name for name in VIEWS if name.endswith("out")])
def test_who_signs_out_is_who_sent_it(name: str, handler: str, mode: str, ann: User, tmp_path: Path) -> None:
    with guarded(tmp_path, mode, POLICY, root_urlconf=HERE, RULES=RULES) as guard:
        visit(handler, ann, f"/{name}")
        assert [(row.action_type, row.subject) for row in rows(guard)] == [("sign-out", str(ann.pk))]
