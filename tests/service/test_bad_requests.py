"""Whatever is sent, the answer is a clear 4xx: never a 5xx, and never a guess."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from tests.service.serving import PATIENCE, Caller, Running, body

EVALUATE = "/v1/actions/evaluate"
GOOD = b'{"action_type": "refund", "payload": {"amount": 1, "odd": false}}'
DEEP = b'{"action_type": "refund", "payload": {"a": %s}}'

BODIES: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, "no JSON"),
    ("text", b"hello", 400, "no JSON"),
    ("half", GOOD[:-1], 400, "no JSON"),
    ("two documents", GOOD + GOOD, 400, "no JSON"),
    ("NaN", b'{"action_type": "refund", "payload": {"amount": NaN}}', 400, "no JSON"),
    ("Infinity", b'{"action_type": "refund", "payload": {"amount": -Infinity}}', 400, "no JSON"),
    ("huge number", b'{"action_type": "refund", "payload": {"amount": 1e999}}', 422, "out of range"),
    ("no UTF-8", b'{"action_type": "refund", "payload": {"a": "\xff"}}', 400, "no JSON"),
    ("UTF-16", GOOD.decode().encode("utf-16"), 400, "no JSON"),
    ("half a character", b'{"action_type": "refund", "payload": {"a": "\\ud800"}}', 400, "no JSON"),
    ("deep", DEEP % (b"[" * 300 + b"]" * 300), 400, "nests too deep: at most 200 levels"),
    ("very deep", DEEP % (b"[" * 100_000 + b"]" * 100_000), 400, "nests too deep: at most 200 levels"),
    ("open brackets", DEEP % (b"[" * 100_000), 400, ""),
    ("twice", b'{"action_type": "refund", "payload": {"amount": 1, "amount": 500}}', 400, "'amount' stands twice"),
    ("twice outside", GOOD[:-1] + b', "shadow": true, "shadow": false}', 400, "'shadow' stands twice"),
    ("a list", b"[]", 422, "Expected `object`"),
    ("null", b"null", 422, "Expected `object`"),
    ("empty", b"{}", 422, "action_type"),
    ("no payload", b'{"action_type": "refund"}', 422, "payload"),
    ("payload a list", b'{"action_type": "refund", "payload": []}', 422, "payload"),
    ("type a number", b'{"action_type": 1, "payload": {}}', 422, "action_type"),
    ("type empty", b'{"action_type": "", "payload": {}}', 422, "action_type"),
    ("shadow a text", GOOD[:-1] + b', "shadow": "yes"}', 422, "shadow"),
    ("context a text", GOOD[:-1] + b', "agent_context": "s"}', 422, "agent_context"),
    ("id an object", GOOD[:-1] + b', "id": {}}', 422, "id"),
    ("time a text", GOOD[:-1] + b', "time": "now"}', 422, "time"),
    ("long id", GOOD[:-1] + b', "id": "%s"}' % (b"x" * 513), 422, "1 to 512 characters"),
]


@pytest.mark.parametrize(("content", "status", "says"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_what_is_no_evaluation_is_refused(http: httpx.Client, content: bytes, status: int, says: str) -> None:
    answer = http.post(EVALUATE, content=content)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert says in (detail if isinstance(detail, str) else json.dumps(detail))
    assert isinstance(detail, list) is (status == 422)
    assert http.get("/v1/actions/recent").json() == []


ACCENTS = "\u0315" * 250_000 + "\u0300" * 250_000
"""To be put in order, one by one, where somebody asks for the normal form of all of it."""
LONG: list[tuple[str, bytes, int]] = [
    ("twice at the end", b'{%s, "d": 1, "d": 2}' % b", ".join(b'"%d": 0' % n for n in range(85_000)), 400),
    ("a text without an end", b'{"name": 1, %s"%s' % (b"[" * 201, b'\\"' * 500_000), 400),
    ("brackets in a text alone", b'"%s"' % (b"[" * 1_000_000), 422),
    ("accents in a name", f'{{"name": "{ACCENTS}", "password": "x"}}'.encode(), 401),
]


@pytest.mark.parametrize(("content", "status"), [case[1:] for case in LONG], ids=[case[0] for case in LONG])
def test_a_body_that_is_made_to_take_long_is_refused_while_others_are_served(
    running: Running, http: httpx.Client, content: bytes, status: int
) -> None:
    # Nobody has signed in yet who sends it. What grew as the square of the length would outlast this test's patience.
    with httpx.Client(base_url=running.base_url, trust_env=False, timeout=PATIENCE) as stranger:
        assert stranger.post("/v1/session", content=content).status_code == status
    assert http.post(EVALUATE, json=body(1)).status_code == 200


@pytest.mark.parametrize(("time", "status"), [(-1e300, 422), (-1, 422), (0, 200), (253402300800.0, 200), (1e300, 200)])
def test_a_time_to_come_is_now_and_none_before_the_epoch_is_taken(http: httpx.Client, time: float, status: int) -> None:
    assert http.post(EVALUATE, json=body(1, time=time)).status_code == status
    assert http.get("/v1/actions/recent").status_code == 200


@pytest.mark.parametrize("bucket", [-1, 100, 2**63, 10**30])
def test_odd_sample_buckets_are_no_fault_of_the_service(http: httpx.Client, bucket: int) -> None:
    assert http.post(EVALUATE, json=body(1, sample_bucket=bucket)).status_code == 422


def test_numbers_of_any_size_are_judged(http: httpx.Client) -> None:
    told = http.post(EVALUATE, json={"action_type": "refund", "payload": {"amount": 10**400, "odd": False}})
    assert (told.status_code, told.json()["decision"]) == (200, "deny")


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_above_the_limit_is_refused_and_in_shadow_runs(http: httpx.Client, declared: bool) -> None:
    large = {"action_type": "refund", "payload": {"amount": 1, "text": "x" * 1_100_000}}

    def sent(asked: dict[str, Any]) -> httpx.Response:
        content = json.dumps(asked).encode()
        return http.post(EVALUATE, content=content if declared else iter([content[:500_000], content[500_000:]]))

    refused, allowed, said_inside = (
        sent(large),
        sent(large | {"shadow": True}),
        sent(large | {"payload": large["payload"] | {"shadow": True}}),
    )
    assert refused.status_code == said_inside.status_code == 413
    assert "1048576 bytes" in refused.json()["detail"]
    assert "SUPERVISOR_MAX_BODY_BYTES" in refused.json()["detail"]
    told = allowed.json()
    assert (allowed.status_code, told["decision"], told["shadow_would_have"]) == (200, "allow", None)
    assert told["reasons"] == ["not evaluated: the body is larger than 1048576 bytes"]
    assert http.get("/v1/actions/recent").json() == []


def test_a_body_that_does_not_end_is_refused_while_it_comes(running: Running, shop: Caller) -> None:
    address = running.base_url.rpartition("/")[2].split(":")
    part = b"%x\r\n%s\r\n" % (100_000, b" " * 100_000)
    with socket.create_connection((address[0], int(address[1])), PATIENCE) as connection:
        connection.sendall(
            f"POST {EVALUATE} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {shop.token()}\r\n"
            "transfer-encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(45):
            connection.sendall(part)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/decisions/%00", "/v1/decisions/%00/evidence", "/v1/review-cases/%00", "/v1/review-cases?action_id=%00",
        "/v1/decisions/%ff%fe", "/v1/review-cases/" + "x" * 5_000, "/v1/decisions/%ed%a0%80", "/v1/nothing",
    ],
)  # fmt: skip
def test_ids_that_nothing_has_are_not_found(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.json()) in (
        (404, {"detail": "decision not found"}), (404, {"detail": "review not found"}), (404, {"detail": "Not Found"}),
        (400, {"detail": "the address holds a NUL character (%00): no id has one, leave it out"}), (200, []),
    )  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        "review-cases?status=open", "review-cases?limit=0", "review-cases?limit=101", "review-cases?limit=-1",
        "review-cases?limit=1e3", "review-cases?before=x", "review-cases?before=1.2.3",
        "review-cases?before=" + "9" * 40,
        "review-cases?action_id=a&wait=31", "review-cases?action_id=a&wait=-1", "actions/recent?decision=maybe",
        "actions/recent?limit=501", "actions/recent?before=9999999999999999999999", "actions/recent?include_shadow=2",
        "actions/recent?limit=%D9%A1",
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_are_named(http: httpx.Client, query: str) -> None:
    answer = http.get(f"/v1/{query}")
    assert answer.status_code == 422, answer.text
    name = answer.json()["detail"][0]["loc"][1]
    assert f"{name}=" in query


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH"])
def test_other_methods(http: httpx.Client, method: str) -> None:
    answer = http.request(method, EVALUATE)
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/v1/approvals/%00/redeem", b'{"digest": "d"}'),
        ("/v1/approvals/none/redeem", b'{"digest": "a\\u0000", "subject": "\\u0000"}'),
        ("/v1/actions/%00/result", b'{"result": "returned"}'),
        ("/v1/review-cases/%00/resolve", b'{"decision": "approved"}'),
    ],
)
def test_ids_that_nothing_has_can_not_be_acted_on(http: httpx.Client, path: str, content: bytes) -> None:
    assert http.post(path, content=content).status_code == (400 if "%00" in path else 404)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"digest": 1}', b'{"decision": "yes"}', b'{"result": null}'])
@pytest.mark.parametrize("path", ["approvals/a/redeem", "actions/a/result", "review-cases/a/resolve"])
def test_acts_without_what_they_need(http: httpx.Client, path: str, content: bytes) -> None:
    assert http.post(f"/v1/{path}", content=content).status_code in (400, 404, 422)


@pytest.mark.parametrize(
    "wanted",
    [
        {}, {"name": ""}, {"name": " "}, {"name": "x" * 201}, {"name": "a\0b"}, {"name": "line\nbreak"}, {"name": 7},
        {"name": "fine", "scopes": []}, {"name": "fine", "scopes": "*"}, {"name": "fine", "scopes": [""]},
        {"name": "fine", "scopes": ["a\0"]}, {"name": "fine", "per_minute": -1}, {"name": "fine", "per_minute": 10**12},
        {"name": "fine", "resolves_own": "yes"},
    ],
)  # fmt: skip
def test_integrations_that_cannot_be(admin: httpx.Client, wanted: dict[str, Any]) -> None:
    answer = admin.post("/v1/integrations", json=wanted)
    assert answer.status_code == 422, answer.text
    assert isinstance(answer.json()["detail"], list)


def test_a_service_that_refused_all_this_still_works(running: Running, shop: Caller) -> None:
    with shop.client(running.base_url) as http:
        assert http.post(EVALUATE, content=GOOD).json()["decision"] == "allow"
        assert http.get("/readyz").json() == {"status": "ok"}
