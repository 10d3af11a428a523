"""Whatever method or path reaches a view: what runs was asked about. Spoken to through the raw handlers."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded

from django.core.handlers.asgi import ASGIHandler  # isort: skip
from django.core.handlers.wsgi import WSGIHandler  # isort: skip
from django.http import HttpRequest, HttpResponse  # isort: skip
from django.urls import path as at  # isort: skip
from django.views.decorators.csrf import csrf_exempt  # isort: skip

POLICY = """
name: all
version: 1
action: act
rules:
  - id: no
    when: payload.get('order_id', 10) == 10
    action: deny
    reason: "no"
"""
RULES = [{"route": "/free", "action": "act", "payload": ["query.x"]}]
VARIANTS = [
    "/free", "/free/", "//free", "/./free", "/x/../free", "/free%0A", "/free%00", "/%66ree", "/FREE", "/free;v=2",
    "/free%2F", "/free%3Fx", "/fre\u00e9",
]  # fmt: skip


RAN: list[str | None] = []


@csrf_exempt
def free(request: HttpRequest) -> HttpResponse:
    """Runs for whatever method it is asked by."""
    RAN.append(request.method)
    return HttpResponse("ran")


urlpatterns = [at("free", free)]


@contextlib.contextmanager
def guarded_free(folder: Path, mode: str = "enforce") -> Iterator[Any]:
    """The guard of a project that has nothing but `free`."""
    RAN.clear()
    with guarded(folder, mode, POLICY, root_urlconf=__name__, RULES=RULES) as guard:
        yield guard


def wsgi(method: str, path: str, **environ: Any) -> int:
    """The status of Django's WSGI handler, as a server that decodes paths would call it."""
    from urllib.parse import unquote_to_bytes

    statuses: list[int] = []
    values = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
        **environ,
    }
    answer = WSGIHandler()(values, lambda status, headers, info=None: statuses.append(int(status[:3])) or (lambda b: b))
    for _ in answer:
        pass
    answer.close()
    return statuses[0]


def asgi(method: str, path: str, **scope: Any) -> int:
    """The same of the ASGI handler."""
    from urllib.parse import unquote_to_bytes

    statuses: list[int] = []
    raw = unquote_to_bytes(path)
    values = {
        "type": "http",
        "method": method,
        "path": raw.decode("utf-8", "replace"),
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "http_version": "1.1",
        "scheme": "http",
        **scope,
    }
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(ASGIHandler()(values, receive, send))
    return statuses[0]


HANDLERS = {"wsgi": wsgi, "asgi": asgi}


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "post", "PUT", "FOO", "OPTIONS"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_rule_without_a_method_is_for_every_one(mode: str, method: str, handler: str, tmp_path: Path) -> None:
    with guarded_free(tmp_path, mode) as guard:
        assert HANDLERS[handler](method, "/free") == (403 if mode == "enforce" else 200)
        assert ([] if mode == "enforce" else [method.upper()]) == RAN
        assert [row.route for row in rows(guard)] == [f"{method.upper()} /free"]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("path", VARIANTS)
def test_no_spelling_of_a_path_gets_around_its_rule(path: str, handler: str, tmp_path: Path) -> None:
    with guarded_free(tmp_path) as guard:
        status = HANDLERS[handler]("POST", path)
        assert RAN == []
        assert len(rows(guard)) == (1 if status == 403 else 0)


@pytest.mark.parametrize("path", ["/orders/10/refund", "/orders/0010/refund"])
def test_a_policy_sees_the_converted_parameter(path: str, tmp_path: Path) -> None:
    rules = [{"route": "shop:refund", "action": "act", "payload": ["path.order_id"]}]
    odd = "tests.integrations.django_project.odd_views"
    with guarded(tmp_path, "enforce", POLICY, RULES=rules, root_urlconf=odd):
        assert wsgi("POST", path) == 403
        assert wsgi("POST", "/orders/11/refund", CSRF_COOKIE="x") == 403  # Django's own refusal of a forged request


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_prefix_of_the_deployment_changes_no_action(handler: str, tmp_path: Path) -> None:
    with guarded_free(tmp_path) as guard:
        status = (
            wsgi("POST", "/free", SCRIPT_NAME="/x") if handler == "wsgi" else asgi("POST", "/x/free", root_path="/x")
        )
        assert status == 403
        assert [row.route for row in rows(guard)] == ["POST /free"]


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Supervisor-Bypass"])
def test_no_header_switches_the_guard_off(name: str, tmp_path: Path) -> None:
    key = "HTTP_" + name.upper().replace("-", "_")
    with guarded_free(tmp_path):
        assert wsgi("POST", "/free", **{key: "GET"}) == 403
        assert wsgi("POST", "/free", **{key: "/slashed/"}) == 403
