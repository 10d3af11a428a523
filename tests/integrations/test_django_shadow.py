"""A site with the middleware in shadow behaves as without it, although every one of its actions would be denied."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.conf import settings  # isort: skip
from django.contrib.auth.models import Group, User  # isort: skip
from django.core.files.base import ContentFile  # isort: skip
from django.core.management import call_command  # isort: skip
from django.db import connections  # isort: skip
from django.test import Client, override_settings  # isort: skip
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart  # isort: skip

USUAL = "tests.integrations.django_project.usual_views"
OURS = "supervisor_guards_django.middleware.SupervisorMiddleware"
WITHOUT = [path for path in settings.MIDDLEWARE if path != OURS]
DENY = """
name: none
version: 1
action: act
default: deny
rules:
  - {id: never, when: "payload.get('never') == 1", action: deny, reason: never}
"""
ALLOW = DENY.replace("default: deny", "default: allow")
NAMES = ("form", "stream", "file", "whole", "parsed", "visits", "writing", "who", "astream", "login")
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
MULTIPART = {"content-type": MULTIPART_CONTENT}
FORM = {"content-type": "application/x-www-form-urlencoded"}
UPLOAD = encode_multipart(BOUNDARY, {"amount": "5", "file": ContentFile(b"x" * 5_000, "a.txt")})
TWO_FILES = encode_multipart(BOUNDARY, {"a": ContentFile(b"x", "a"), "b": ContentFile(b"y", "b")})
LIMITS = {"data_upload_max_memory_size": 1_000, "data_upload_max_number_fields": 3, "data_upload_max_number_files": 1}
REQUESTS = {
    "a stream": ("GET", "/stream", b"", {}),
    "an async stream": ("GET", "/astream", b"", {}),
    "a file": ("GET", "/file", b"", {}),
    "no token": ("POST", "/form", b"amount=5", FORM),
    "an upload beyond the limit of memory": ("POST", "/parsed", UPLOAD, MULTIPART),
    "too much data": ("POST", "/whole", b"x" * 2_000, {"content-type": "text/plain"}),
    "a form of too much data": ("POST", "/parsed", b"a=" + b"x" * 2_000, FORM),
    "too many fields": ("POST", "/parsed", b"a=1&b=2&c=3&d=4", FORM),
    "too many files": ("POST", "/parsed", TWO_FILES, MULTIPART),
    "no boundary": ("POST", "/parsed", UPLOAD, {"content-type": "multipart/form-data"}),
    "a body cut off": ("POST", "/parsed", UPLOAD[:-200], MULTIPART),
    "a new session": ("POST", "/visits", b"", {}),
    "an unknown session": ("POST", "/visits", b"", {"cookie": "sessionid=" + "x" * 32}),
    "nobody": ("GET", "/who", b"", {}),
    "no view": ("GET", "/nowhere", b"", {}),
}
_MADE_UP = re.compile(rb'(value="|csrftoken=|sessionid=|expires=)[^";]*')
HANDLERS = ["wsgi", "asgi"]


def site(folder: Path, mode: str = "shadow", policy: str = DENY, **changes: Any) -> Any:
    """The site, with a rule for each of its views."""
    every = [{"route": name, "action": "act"} for name in (*NAMES, *changes.pop("names", ()))]
    changes.setdefault("templates", TEMPLATES)
    return guarded(folder, mode, policy, RULES=every, root_urlconf=USUAL, static_url="/static/", **changes)


def shown(answer: Any) -> tuple[Any, ...]:
    """An answer without what is made up anew each time."""
    body = b"".join(answer) if not answer.streaming or answer.is_async is False else _read(answer)
    headers = sorted((name, value) for name, value in answer.items() if name != "Last-Modified")
    cookies = _MADE_UP.sub(b"", answer.cookies.output().encode())
    answer.close()
    return answer.status_code, headers, cookies, _MADE_UP.sub(b"", body)


def _read(answer: Any) -> bytes:
    import asyncio

    async def parts() -> bytes:
        return b"".join([part async for part in answer])

    return asyncio.run(parts())


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("name", REQUESTS)
def test_an_answer_is_the_same(name: str, handler: str, tmp_path: Path) -> None:
    method, path, body, headers = REQUESTS[name]
    found = []
    for middleware in (WITHOUT, settings.MIDDLEWARE):
        with site(tmp_path, middleware=middleware, **LIMITS) as guard:
            client = {"enforce_csrf_checks": True}
            found.append(shown(send(handler, method, path, body, headers=dict(headers), **client)))
            decided = rows(guard)
    assert found[0] == found[1]
    unseen = name in ("no token", "no view")
    assert [row.action_type for row in decided] == ([] if unseen else ["act"])


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(
    "name", ["too much data", "a form of too much data", "too many fields", "too many files", "no boundary"]
)
def test_in_enforce_what_django_refuses_keeps_its_status(name: str, handler: str, tmp_path: Path) -> None:
    method, path, body, headers = REQUESTS[name]
    with site(tmp_path, middleware=WITHOUT, **LIMITS):
        status = send(handler, method, path, body, headers=dict(headers)).status_code
    with site(tmp_path, "enforce", ALLOW, **LIMITS) as guard:
        answer = send(handler, method, path, body, headers=dict(headers))
        assert answer.status_code == status == 400
        # What is no form is left to the view to read: the rule was told that it is too large.
        assert len(rows(guard)) == (1 if name == "too much data" else 0)


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_a_form_with_its_token_arrives_whole(kind: str, mode: str, tmp_path: Path) -> None:
    with site(tmp_path, mode, ALLOW) as guard:
        client = Client(enforce_csrf_checks=True)
        client.get("/form")
        fields = {"amount": ["5", "6"], "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
        if kind == "multipart":
            answer = client.post("/form", {**fields, "file": ContentFile(b"content", "a.txt")})
        else:
            answer = client.post("/form", urlencode(fields, doseq=True), content_type=FORM["content-type"])
        assert answer.status_code == 200
        assert answer.context_data["sent"] == {"amount": ["5", "6"]}
        assert answer.context_data["files"] == ({"file": "content"} if kind == "multipart" else {})
        (row,) = [row for row in rows(guard) if row.route == "POST /form"]
        assert row.status == "evaluated"


# To show the frames' variables, Django's page asks the database in a thread that never closes its connection.
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
@pytest.mark.parametrize("handler", HANDLERS)
def test_pages_of_debug_mode_are_shown(handler: str, tmp_path: Path) -> None:
    with site(tmp_path, debug=True):
        failed = send(handler, "POST", "/writing?name=debug&fail", headers={"accept": "text/html"})
        lost = send(handler, "GET", "/nowhere", headers={"accept": "text/html"})
    assert (failed.status_code, b"after the write" in failed.content) == (500, True)
    assert (lost.status_code, b"tried these URL patterns" in lost.content) == (404, True)


def test_the_test_client_sees_what_it_sees(tmp_path: Path) -> None:
    with site(tmp_path):
        client = Client()
        answer = client.get("/form")
        assert answer.resolver_match.url_name == "form"
        assert answer.context_data["sent"] == {}
        with pytest.raises(RuntimeError, match="after the write"):
            client.post("/writing?name=client&fail")
        assert [client.post("/visits").content for _ in range(2)] == [b"1", b"2"]


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_transaction_of_the_request_is_the_view_s_alone(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    with site(tmp_path, mode, ALLOW) as guard:
        assert send("wsgi", "POST", f"/writing?name=kept-{mode}").status_code == 200
        assert send("wsgi", "POST", f"/writing?name=lost-{mode}&fail").status_code == 500
        assert sorted(row.result for row in rows(guard)) == ["raised", "returned"]
    assert list(Group.objects.filter(name__endswith=mode).values_list("name", flat=True)) == [f"kept-{mode}"]


def test_the_admin_works(tmp_path: Path) -> None:
    apps = [*settings.INSTALLED_APPS, "django.contrib.admin", "django.contrib.messages"]
    middleware = [*settings.MIDDLEWARE[:-1], "django.contrib.messages.middleware.MessageMiddleware", OURS]
    names = ("admin:auth_group_add", "admin:auth_group_changelist", "admin:index")
    with override_settings(INSTALLED_APPS=list(dict.fromkeys(apps))):
        call_command("migrate", verbosity=0)
        with site(tmp_path, middleware=list(dict.fromkeys(middleware)), names=names) as guard:
            User.objects.filter(username="root").delete()
            client = Client(enforce_csrf_checks=True)
            client.force_login(User.objects.create_superuser("root"))
            assert client.get("/admin/").status_code == 200
            assert client.get("/admin/auth/group/add/").status_code == 200
            token = client.cookies["csrftoken"].value
            made = client.post("/admin/auth/group/add/", {"name": "made", "csrfmiddlewaretoken": token}, follow=True)
            assert made.redirect_chain == [("/admin/auth/group/", 302)]
            assert b"was added successfully" in made.content
            chosen = {"action": "delete_selected", "_selected_action": Group.objects.get(name="made").pk, "post": "yes"}
            client.post("/admin/auth/group/", {**chosen, "csrfmiddlewaretoken": token})
            assert not Group.objects.filter(name="made").exists()
            found = [(row.route, row.would_have, row.subject) for row in rows(guard)]
    subject = str(User.objects.get(username="root").pk)
    assert found[0] == ("GET /admin/", "deny", subject)
    assert ("POST /admin/auth/group/", "deny", subject) in found
    assert len(found) == 5
