"""What the policy judges is what the view reads, by whichever way Flask has, and nothing is read that isn't needed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Request, request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import encode_multipart

from supervisor_guards_flask import supervised_view
from tests.engine import rows
from tests.integrations.flask_client import guarded, guards, send

POLICY = """
name: all
version: 1
action: [pay, upload, tell]
rules:
  - id: cap
    when: payload.get('amount') is not None and payload.amount > 1000
    action: deny
    reason: too-much
"""
MODES = pytest.mark.parametrize("mode", ["shadow", "enforce"])
PAY = {"route": "POST /pay", "action": "pay", "payload": ["body.amount"], "max_body_bytes": 10_000}


def application(view: Any, **config: Any) -> Flask:
    app = Flask("bodies")
    app.config.update(config)
    app.add_url_rule("/pay", "pay", view, methods=["POST", "PUT"])
    return app


def payloads(guard: Any) -> list[Any]:
    return [json.loads(row.payload) for row in rows(guard)]


def multipart(*fields: tuple[str, Any]) -> tuple[bytes, list[tuple[str, str]]]:
    boundary, body = encode_multipart(MultiDict(fields))
    return body, [("content-type", f"multipart/form-data; boundary={boundary}")]


READERS: dict[str, Any] = {
    "get_data": lambda: request.get_data(),
    "get_data uncached": lambda: request.get_data(cache=False),
    "data": lambda: request.data,
    "stream": lambda: request.stream.read(),
    "stream in parts": lambda: b"".join(iter(lambda: request.stream.read(7), b"")),
    "lines": lambda: b"".join(request.stream),
    "wsgi.input": lambda: request.environ["wsgi.input"].read(request.content_length),
    "json": lambda: json.dumps(request.get_json(force=True)).encode(),
    "form, then data": lambda: repr((request.form.to_dict(), request.get_data())).encode(),
    "data, then form": lambda: repr((request.get_data(), request.form.to_dict())).encode(),
}


@MODES
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("reader", READERS)
def test_a_view_reads_the_same_bytes_as_without_a_guard(reader: str, kind: str, mode: str, tmp_path: Path) -> None:
    body, headers = b'{"amount": 5, "note": "' + b"x" * 300 + b'"}', [("content-type", kind)] if kind else []
    bare = send(application(READERS[reader]), "POST", "/pay", body, headers)
    app = application(READERS[reader])
    with guarded(app, guards(tmp_path, mode, POLICY, RULES=[PAY])) as guard:
        answer = send(app, "POST", "/pay", body, headers)
        (row,) = rows(guard)
    ambiguous = kind.endswith("urlencoded")  # Flask has two ways to read these bytes, and one of them finds no amount
    assert (row.would_have or row.outcome) == ("deny" if ambiguous else "allow")
    assert row.reasons == (("ambiguous-payload",) if ambiguous else ())
    if ambiguous and mode == "enforce":
        assert answer.status_code == 400
        assert answer.get_json()["type"].endswith("/ambiguous-payload")
    else:
        assert (answer.status_code, answer.data) == (bare.status_code, bare.data)


@MODES
def test_a_signature_over_the_body_still_fits(mode: str, tmp_path: Path) -> None:
    app = application(lambda: hashlib.sha256(request.get_data()).hexdigest() + request.form.get("amount", ""))
    body, headers = multipart(("amount", "5"), ("file", FileStorage(io.BytesIO(b"content"), "a.txt")))
    with guarded(app, guards(tmp_path, mode, POLICY, RULES=[{**PAY, "payload": ["form.amount:number"]}])):
        answer = send(app, "POST", "/pay", body, headers)
        assert answer.text == hashlib.sha256(body).hexdigest() + "5"


@MODES
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_above_the_cap_reaches_the_view_whole(declared: bool, mode: str, tmp_path: Path) -> None:
    """Where the payload doesn't need it. Chunked, its size is only found by reading."""
    app = application(lambda: hashlib.sha256(request.get_data()).hexdigest())
    body = b'{"all": "' + b"x" * 3_000_000 + b'"}'
    environ: dict[str, Any] = {"wsgi.input_terminated": True, "CONTENT_TYPE": "application/json"}
    if not declared:
        environ["CONTENT_LENGTH"] = ""
    rule = {"route": "POST /pay", "action": "pay", "max_body_bytes": 10_000}
    with guarded(app, guards(tmp_path, mode, POLICY, RULES=[rule])) as guard:
        assert send(app, "POST", "/pay", body, **environ).text == hashlib.sha256(body).hexdigest()
        (payload,) = payloads(guard)
        assert payload["body_status"] == "too_large"


@pytest.mark.parametrize("declared", [True, False])
def test_a_rule_that_needs_more_than_its_cap_refuses(declared: bool, tmp_path: Path) -> None:
    ran: list[str] = []
    app = application(lambda: ran.append("pay") or "x")
    environ: dict[str, Any] = {"wsgi.input_terminated": True, "CONTENT_TYPE": "application/json"}
    if not declared:
        environ["CONTENT_LENGTH"] = ""
    body = b'{"amount": 1, "more": "' + b"x" * 20_000 + b'"}'
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=[PAY])):
        assert send(app, "POST", "/pay", body, **environ).status_code == 413
        assert ran == []


def test_a_size_that_lies_is_no_way_around_the_cap(tmp_path: Path) -> None:
    """A server that ends the stream by itself may hand over more than is declared."""
    app = application(lambda: str(len(request.get_data())))
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=[PAY])):
        environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "2", "CONTENT_TYPE": "application/json"}
        answer = send(app, "POST", "/pay", b'{"amount": 5, "x": "' + b"x" * 20_000 + b'"}', **environ)
        assert answer.status_code == 413


@pytest.mark.parametrize("rule", [{"body": "none", "payload": ["query.a"]}, {"payload": ["path.x", "header.x-a"]}])
def test_a_body_that_no_rule_looks_at_is_not_read(rule: dict[str, Any], tmp_path: Path) -> None:
    class Untouchable(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            raise AssertionError("somebody reads")

    app = application(lambda: "ran")
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=[{"route": "POST /pay", "action": "pay", **rule}])):
        environ = {"wsgi.input": Untouchable(), "CONTENT_LENGTH": "1000"}
        client = app.test_client()
        assert client.post("/pay", environ_overrides=environ).text == "ran"


def test_half_a_body_is_no_request(tmp_path: Path) -> None:
    ran: list[str] = []
    app = application(lambda: ran.append("pay") or "x")
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=[PAY])) as guard:
        answer = send(app, "POST", "/pay", b'{"amount": 1', CONTENT_LENGTH="500", CONTENT_TYPE="application/json")
        assert (answer.status_code, ran, rows(guard)) == (400, [], [])


@MODES
def test_limits_of_flask_are_answered_by_flask(mode: str, tmp_path: Path) -> None:
    """For the whole application; from Flask 3.1 on, for one request by a hook before the guard too."""
    per_request = Request.max_content_length.fset is not None  # type: ignore[attr-defined]
    limited = [application(_amount, MAX_CONTENT_LENGTH=50), *([application(_amount)] if per_request else [])]
    for number, app in enumerate(limited):
        if number:

            @app.before_request
            def limit() -> None:
                request.max_content_length = 50

        rules = [PAY, {"route": "POST /pay", "action": "upload", "payload": ["form.amount:number"]}]
        with guarded(app, guards(tmp_path / str(number), mode, POLICY, RULES=rules)) as guard:
            answer = send(app, "POST", "/pay", b'{"amount": 1, "x": "' + b"x" * 100 + b'"}')
            assert (answer.status_code, b"The data value transmitted exceeds" in answer.data) == (413, True)
            if mode == "enforce":
                assert rows(guard) == []


def _amount() -> str:
    return str(request.get_json(force=True)["amount"])


@pytest.mark.parametrize(
    ("query", "seen"),
    [("amount=1&amount=5000", "1"), ("amount=5000&amount=1", "5000"), ("amount=1;amount=5000", "1;amount=5000")],
)
def test_of_a_repeated_name_it_is_the_first_as_the_view_gets_it(query: str, seen: str, tmp_path: Path) -> None:
    app = application(lambda: request.args["amount"] + " " + request.form["amount"])
    rule = {"route": "POST /pay", "action": "pay", "payload": ["q=query.amount", "f=form.amount"]}
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=[rule])) as guard:
        headers = [("content-type", "application/x-www-form-urlencoded")]
        assert send(app, "POST", "/pay?" + query, query.encode(), headers).text == f"{seen} {seen}"
        (payload,) = payloads(guard)
        assert (payload["q"], payload["f"]) == (seen, seen)
        assert ("repeated" in payload) == ("&" in query)


@pytest.mark.parametrize(
    "body",
    [
        b'--b\r\ncontent-disposition: form-data; name="amount"\r\n\r\n5\r\n--b--\r\n',
        b'--b\r\ncontent-disposition: form-data; name="x"; name="amount"\r\n\r\n5\r\n--b--\r\n',
        b"--b\r\ncontent-disposition: form-data; name*=utf-8''amount\r\n\r\n5\r\n--b--\r\n",
        (
            b'--b\r\ncontent-disposition: form-data; name="amount"\r\n\r\n5\r\n'
            b'--b\r\ncontent-disposition: form-data; name="amount"\r\n\r\n5000\r\n--b--\r\n'
        ),
        b'--b\r\ncontent-disposition: form-data; name="amount"\r\n\r\n5',
        b"no part at all",
    ],
)
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=b", "multipart/form-data; boundary=b; boundary=c"])
def test_the_fields_of_a_form_are_those_that_the_view_finds(kind: str, body: bytes, tmp_path: Path) -> None:
    """Flask's own parser reads them, once; where it finds none, the body is of a type that can't be read."""
    seen: list[Any] = []
    app = application(lambda: seen.append(request.form.get("amount")) or "ran")
    rule = {"route": "POST /pay", "action": "pay", "payload": ["a=form.amount"]}
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=[rule])) as guard:
        answer = send(app, "POST", "/pay", body, [("content-type", kind)])
        (payload,) = payloads(guard)
        if seen:
            assert payload.get("a") == seen[0]
        else:
            assert answer.status_code in (400, 415)


@pytest.mark.parametrize("size", [100, 2_000_000])
@MODES
def test_uploads_are_known_by_name_and_size_only(mode: str, size: int, tmp_path: Path) -> None:
    content = b"secret-content " * (size // 15)
    app = application(lambda: hashlib.sha256(request.files["doc"].read()).hexdigest())
    body, headers = multipart(
        ("note", "hi"), ("doc", FileStorage(io.BytesIO(content), "../../etc/passwd.txt", content_type="text/plain"))
    )
    rule = {"route": "POST /pay", "action": "upload", "max_body_bytes": 10_000}
    with guarded(app, guards(tmp_path, mode, POLICY, RULES=[rule])) as guard:
        assert send(app, "POST", "/pay", body, headers).text == hashlib.sha256(content).hexdigest()
        (row,) = rows(guard)
        assert "secret-content" not in row.payload
        payload = json.loads(row.payload)
        (file,) = payload["files"]
        assert (payload["body"], file["field"], file["filename"]) == ({"note": "hi"}, "doc", "passwd.txt")
        if mode == "enforce":
            assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("first", ["get_data", "form", "stream", "nothing read", "part of the stream"])
def test_a_hook_before_the_guard_may_read_the_body(first: str, tmp_path: Path) -> None:
    """As those that protect forms do, or check a signature. A body of which only a part is left refuses."""
    hooks: dict[str, Any] = {
        "get_data": lambda: request.get_data(),
        "form": lambda: request.form,
        "stream": lambda: request.stream.read(),
        "nothing read": lambda: request.stream,
        "part of the stream": lambda: request.stream.read(3),
    }
    app = application(lambda: "ran")
    app.before_request(lambda: (hooks[first](), None)[1])
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=[PAY])):
        headers = [("content-type", "application/json")]
        bodies = {amount: b'{"amount": %d}' % amount for amount in (5, 5000)}
        status = {amount: send(app, "POST", "/pay", body, headers).status_code for amount, body in bodies.items()}
    assert status == ({5: 400, 5000: 400} if first.startswith("part") else {5: 200, 5000: 403})


@MODES
@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"", "application/json"), (b"{", "application/json"), (gzip.compress(b"{}", mtime=0), "application/gzip")],
)
def test_in_shadow_and_where_no_field_is_read_the_view_answers_as_ever(
    body: bytes, kind: str, mode: str, tmp_path: Path
) -> None:
    bare = send(application(lambda: request.get_json()), "POST", "/pay", body, [("content-type", kind)])
    app = application(lambda: request.get_json())
    rule = {"route": "POST /pay", "action": "pay"}
    with guarded(app, guards(tmp_path, mode, POLICY, RULES=[rule])):
        answer = send(app, "POST", "/pay", body, [("content-type", kind)])
        assert (answer.status_code, answer.data) == (bare.status_code, bare.data)


def test_a_payload_callable_gets_flasks_request(tmp_path: Path) -> None:
    """What it raises refuses in enforce; its request is the view's own."""

    def payload(found: Any) -> dict[str, Any]:
        return {"amount": found.get_json()["amount"] * found.args.get("times", 1, int)}

    app = application(supervised_view("pay", payload=payload)(lambda: str(request.json["amount"])))
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=[])):
        for body, status in ((b'{"amount": 500}', 200), (b'{"amount": 5000}', 403), (b"{}", 400)):
            answer = send(app, "POST", "/pay?times=2", body, [("content-type", "application/json")])
            assert answer.status_code == status
