"""Each request has an id and a line in the log; neither is the caller's to write."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from supervisor_guards.service.logs import JsonLines, TextLines
from tests.service.serving import ADMIN_TOKEN, Caller, Running, body, until


class Lines(logging.Handler):
    """Keeps what was logged, as the formatters write it."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.json: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(TextLines().format(record))
        self.json.append(json.loads(JsonLines().format(record)))

    def of(self, request_id: str) -> dict[str, Any]:
        """The line of this request: it is written after the answer was sent."""
        until(lambda: any(line.get("request_id") == request_id for line in self.json))
        return next(line for line in self.json if line.get("request_id") == request_id)


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger = logging.getLogger("supervisor_guards")
    handler, level = Lines(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_request_is_one_line_that_says_who_what_and_how_long(http: httpx.Client, shop: Caller, lines: Lines) -> None:
    answer = http.post("/v1/actions/evaluate", json=body(1), headers={"x-request-id": "job-7.a_b"})
    assert answer.headers["x-request-id"] == "job-7.a_b"
    line = lines.of("job-7.a_b")
    assert line["ms"] > 0
    assert {name: line[name] for name in ("level", "method", "route", "status", "caller")} == {
        "level": "info", "method": "POST", "route": "/v1/actions/evaluate", "status": 200,
        "caller": f"integration {shop.name}",
    }  # fmt: skip
    (text,) = (text for text in lines.text if "job-7.a_b" in text)
    assert "POST /v1/actions/evaluate 200" in text


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, 'a"b', "a;b", "-x", "<i>"])
def test_an_id_that_is_none_is_replaced(http: httpx.Client, sent: str) -> None:
    given = http.get("/healthz", headers={"x-request-id": sent}).headers["x-request-id"]
    assert given != sent
    assert "-" in given[1:]


def test_the_line_has_the_route_and_not_the_address(http: httpx.Client, lines: Lines) -> None:
    name = http.get("/v1/decisions/somebodys-id?token=secret").headers["x-request-id"]
    assert lines.of(name)["route"] == "/v1/decisions/{action_id}"
    other = http.get("/nowhere%0aforged").headers["x-request-id"]
    assert lines.of(other)["route"] == "(unknown)"
    assert "somebodys" not in "".join(lines.text)
    assert "forged" not in "".join(lines.text)


def test_refused_requests_have_a_line_too(running: Running, lines: Lines) -> None:
    answer = httpx.post(f"{running.base_url}/v1/actions/evaluate", json=body(1), trust_env=False)
    assert answer.status_code == 401
    line = lines.of(answer.headers["x-request-id"])
    assert (line["status"], line["caller"]) == (401, None)


def test_neither_payloads_nor_secrets_are_logged(
    running: Running, http: httpx.Client, shop: Caller, lines: Lines
) -> None:
    http.post("/v1/actions/evaluate", json=body(1, subject="a-subject", agent_context={"user_id": "a-user"}))
    http.post("/v1/actions/evaluate", content=b'{"action_type": "a-broken-body"')
    with running.admin() as admin:
        name = admin.get("/v1/integrations").headers["x-request-id"]
    assert lines.of(name)["caller"] == "admin token"
    written = "".join(lines.text) + json.dumps(lines.json)
    for word in ("amount", "a-subject", "a-user", "a-broken-body", shop.secret, shop.token()[:40], ADMIN_TOKEN):
        assert word not in written


def test_a_fault_is_one_json_line_and_its_text_stays_inside() -> None:
    try:
        raise ValueError("first\nsecond \udcff")
    except ValueError as error:
        record = logging.LogRecord(
            "supervisor_guards", 40, __file__, 1, "it broke\nbadly", (), (ValueError, error, None)
        )
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "it broke\nbadly"
    first, *rest = TextLines().format(record).splitlines()
    assert first.endswith("it broke\\nbadly")
    assert all(one.startswith("    ") for one in rest)
