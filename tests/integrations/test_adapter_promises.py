"""Django and Flask: what digests tell apart, what can't be read, whose fault it is, one action enforced at a time."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask import request as flask_request

from supervisor_guards_flask import SupervisorGuards
from tests.engine import rows
from tests.integrations import django_client, flask_client

from django.http import HttpRequest, HttpResponse  # isort: skip
from django.test import override_settings  # isort: skip
from django.urls import path  # isort: skip
from django.views.decorators.csrf import csrf_exempt  # isort: skip

from supervisor_guards_django import conf

HERE = __name__
POLICY = """
name: all
version: 1
action: [refund, report]
rules:
  - {id: cap, when: "payload.get('amount', 0) > 100", action: deny, reason: too-much}
  - {id: note, when: "'forbidden' in payload.get('note', '')", action: deny, reason: bad-note}
"""
JSON = {"content-type": "application/json"}
RAN: list[str] = []
Send = Callable[[str, bytes, dict[str, str]], tuple[int, str]]
"""Name of a view, body, headers -> status and kind of problem."""


@csrf_exempt
def done(request: HttpRequest) -> HttpResponse:
    RAN.append(request.path)
    read = request.POST if request.content_type.startswith("multipart/") else request.body
    return HttpResponse(f"{len(read)} read")


urlpatterns = [path("refund", done), path("report", done)]


def kind(body: bytes) -> str:
    return str(json.loads(body)["type"].rpartition("/")[2]) if body[:1] == b"{" else ""


@contextlib.contextmanager
def django(handler: str, settings: dict[str, Any]) -> Iterator[tuple[Any, Send]]:
    def send(name: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        answer = django_client.send(handler, "POST", f"/{name}", body, headers=headers)
        return answer.status_code, kind(answer.content)

    # What Django itself takes is not the subject here.
    with override_settings(SUPERVISOR_GUARDS=settings, ROOT_URLCONF=HERE, DATA_UPLOAD_MAX_MEMORY_SIZE=10_000_000):
        try:
            yield conf.guard(), send
        finally:
            conf.withdraw()


@contextlib.contextmanager
def flask(settings: dict[str, Any]) -> Iterator[tuple[Any, Send]]:
    app = Flask("promises")

    def done() -> str:
        RAN.append(flask_request.path)
        return f"{len(flask_request.get_data())} read"

    for name in ("refund", "report"):
        app.add_url_rule(f"/{name}", name, done, methods=["POST"])
    app.config["SUPERVISOR_GUARDS"] = settings
    extension = SupervisorGuards(app)

    def send(name: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        answer = flask_client.send(app, "POST", f"/{name}", body, headers.items())
        return answer.status_code, kind(answer.data)

    try:
        yield extension.guard(app), send
    finally:
        extension.close(app)


SITES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "Django, WSGI": lambda settings: django("wsgi", settings),
    "Django, ASGI": lambda settings: django("asgi", settings),
    "Flask": flask,
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    RAN.clear()
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    base = {
        "MODE": "enforce",
        "POLICY": str(tmp_path / "supervisor.yaml"),
        "STATE_DIR": str(tmp_path / ".supervisor"),
    }
    return lambda **changes: SITES[request.param](base | changes)


def ruled(*payload: Any, name: str = "refund", **fields: Any) -> dict[str, Any]:
    return {"route": f"POST /{name}", "action": name, **({"payload": list(payload)} if payload else {}), **fields}


def multipart(boundary: str, **fields: str) -> tuple[bytes, dict[str, str]]:
    head = 'content-disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    parts = [f"--{boundary}\r\n{head.format(name, value)}" for name, value in fields.items()]
    body = "".join([*parts, f"--{boundary}--\r\n"]).encode()
    return body, {"content-type": f"multipart/form-data; boundary={boundary}"}


def test_another_card_number_is_another_action_although_no_row_shows_it(site: Any) -> None:
    with site(RULES=[ruled("body.amount", "body.card_number")]) as (guard, send):
        for card in ("4111111111111111", "5500005555555559", "4111111111111111"):
            body = json.dumps({"amount": 5, "card_number": card}).encode()
            assert send("refund", body, JSON)[0] == 200
        found = sorted(rows(guard), key=lambda row: row.time)
        assert found[0].digest == found[2].digest != found[1].digest
        assert len({row.payload for row in found}) == 1
        assert not any(card in str(row) for row in found for card in ("4111111111111111", "5500005555555559"))


def test_the_same_form_in_another_wrapping_is_the_same_action(site: Any) -> None:
    with site(RULES=[ruled("form.note", "form.other")]) as (guard, send):
        for boundary in ("one", "another"):
            assert send("refund", *multipart(boundary, note="a", other="b"))[0] == 200
        assert send("refund", *multipart("one", note="b", other="a"))[0] == 200
        first, second, third = (row.digest for row in sorted(rows(guard), key=lambda row: row.time))
        assert first == second != third


@pytest.mark.parametrize("on_unavailable", ["fail_closed", "fail_open"])
def test_a_rule_that_would_read_the_head_of_a_cut_text_refuses(on_unavailable: str, site: Any) -> None:
    rule = ruled("body.note", max_body_bytes=4_000_000)
    with site(RULES=[rule], ON_UNAVAILABLE=on_unavailable) as (guard, send):
        body = json.dumps({"note": "x" * 1_000_000 + " forbidden"}).encode()
        status, problem = send("refund", body, JSON)
        assert (status, problem) != (200, "")
        assert status in (400, 403, 413)
        assert RAN == []
        assert [row.outcome for row in rows(guard)] == ["deny"]
        assert send("refund", b'{"note": "short"}', JSON)[0] == 200


def broken(request: Any) -> Any:
    raise RuntimeError("the payload of this request can't be made")


@pytest.mark.parametrize("on_unavailable", ["fail_closed", "fail_open"])
def test_whose_fault_it_is_decides_whether_a_setting_opens_it(on_unavailable: str, site: Any) -> None:
    """What a request causes refuses always; for a supervisor that is gone, the setting decides."""
    unreadable = {**ruled(), "payload": broken}
    with site(RULES=[unreadable], ON_UNAVAILABLE=on_unavailable) as (_, send):
        assert send("refund", b"{}", JSON)[0] == 400
    with site(RULES=[ruled("body.amount:number")], ON_UNAVAILABLE=on_unavailable) as (_, send):
        assert send("refund", b'{"amount": "much"}', JSON)[0] == 400
        assert send("refund", b'{"amount": 1, "amount": 500}', JSON)[0] == 400
    assert RAN == []
    gone = {"BASE_URL": "http://127.0.0.1:9", "APP_ID": "app", "SECRET": "a secret of 32 characters and more"}
    with site(RULES=[ruled("body.amount")], ON_UNAVAILABLE=on_unavailable, **gone) as (_, send):
        closed = on_unavailable == "fail_closed"
        assert send("refund", b'{"amount": 5}', JSON) == ((503, "supervisor-unavailable") if closed else (200, ""))
        assert ([] if closed else ["/refund"]) == RAN


@pytest.mark.parametrize(
    "changes",
    [
        {"RULES": [ruled("body.amount", mode="enforce"), ruled("body.amount", name="report")], "MODE": "shadow"},
        {
            "RULES": [ruled("body.amount"), ruled("body.amount", name="report")],
            "MODE": "shadow",
            "ACTIONS": {"refund": {"mode": "enforce"}},
        },
        {
            "RULES": [ruled("body.amount"), ruled("body.amount", name="report", mode="sample")],
            "ACTIONS": {"report": {"sample_percent": 0}},
        },
    ],
    ids=["by the rule", "by the action", "by sampling"],
)
def test_one_action_is_enforced_while_another_stays_in_shadow(changes: dict[str, Any], site: Any) -> None:
    with site(**changes) as (guard, send):
        assert [send(name, b'{"amount": 500}', JSON)[0] for name in ("refund", "report")] == [403, 200]
        assert RAN == ["/report"]
        found = {row.action_type: (row.outcome, row.would_have) for row in rows(guard)}
        assert found["refund"][0] == "deny"
        assert found["report"] == ("allow", "deny")
