"""The tests' own services speak the protocol: what stands in for a service has to be right itself."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from tests.remote.peers import (
    ADMIN_TOKEN,
    ANSWERS,
    APP_ID,
    FAULTS,
    SECRET,
    Asked,
    OurService,
    PlainService,
    Refused,
    Ruling,
)

ADMIN = {"x-admin-token": ADMIN_TOKEN, "x-approver": "ada"}


def bearer(secret: str = SECRET, **claims: Any) -> dict[str, str]:
    now = int(time.time())
    values = {"sub": APP_ID, "scopes": ["*"], "iat": now, "exp": now + 300, **claims}
    token = jwt.encode({name: value for name, value in values.items() if value is not None}, secret, "HS256")
    return {"authorization": f"Bearer {token}"}


def client(base_url: str, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=base_url, trust_env=False, headers=bearer(), **options)


def by_amount(question: Asked) -> Ruling | str:
    amount = question.payload["amount"]
    if amount < 0:
        raise Refused(429, "too many requests", retry_after="3")
    return "deny" if amount > 100 else Ruling("review", ("look",), ("look-rule",)) if amount > 10 else "allow"


def body(amount: int, **fields: Any) -> dict[str, Any]:
    return {"action_type": "refund", "payload": {"amount": amount}, **fields}


@pytest.fixture(params=[PlainService, OurService])
def service(request: pytest.FixtureRequest) -> Iterator[PlainService]:
    with request.param(by_amount) as one:
        yield one


@pytest.fixture
def ours() -> Iterator[OurService]:
    with OurService(by_amount) as one:
        yield one


@pytest.mark.parametrize(
    ("fields", "query", "decision", "reasons", "would", "stored", "cases"),
    [
        ({"amount": 1}, "", "allow", ["passes-policy-and-risk"], None, 1, 0),
        ({"amount": 500}, "", "deny", ["amount-exceeds-cap"], None, 1, 0),
        ({"amount": 50}, "", "review", ["look"], None, 1, 1),
        ({"amount": 50, "shadow": True}, "", "allow", [], "review", 1, 0),
        ({"amount": 500, "shadow": True}, "", "allow", [], "deny", 1, 0),
        ({"amount": 50}, "?dry_run=true", "review", ["look"], None, 0, 0),
    ],
)
def test_the_table_of_answers(
    service: PlainService,
    fields: dict[str, Any],
    query: str,
    decision: str,
    reasons: list[str],
    would: str | None,
    stored: int,
    cases: int,
) -> None:
    with client(service.base_url) as http:
        answer = http.post(f"/v1/actions/evaluate{query}", json=body(**fields)).raise_for_status().json()
        listed = http.get("/v1/review-cases").json()
    assert (answer["decision"], answer["reasons"], answer["shadow_would_have"]) == (decision, reasons, would)
    assert (len(service.decisions), len(service.cases), len(listed)) == (stored, cases, cases)
    assert stored or answer["action_id"] == "dry-run"


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "missing bearer token"),
        (bearer(sub=None), "token missing sub claim"),
        (bearer(sub=["app-1"]), "token missing sub claim"),
        (bearer(sub="app-2"), "integration not found or revoked"),
        (bearer("another secret, and also a long one"), "invalid token: bad signature"),
        (bearer(exp=1), "invalid token: token expired"),
        (bearer(exp=None), 'invalid token: Token is missing the "exp" claim'),
        ({"authorization": "Bearer nonsense"}, "invalid token: Not enough segments"),
    ],
)
def test_who_may_ask(service: PlainService, headers: dict[str, str], detail: str) -> None:
    with httpx.Client(base_url=service.base_url, trust_env=False, headers=headers) as http:
        answer = http.post("/v1/actions/evaluate", json=body(1))
    assert (answer.status_code, answer.json()) == (401, {"detail": detail})
    assert service.asked == []


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"action_type": 1, "payload": {}}', '{"action_type": "a", "payload": {"n": NaN}}']
)
def test_what_is_no_evaluation(service: PlainService, content: str) -> None:
    with client(service.base_url) as http:
        answer = http.post("/v1/actions/evaluate", content=content)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)


def test_reviews_are_listed_newest_first_and_resolved_once(service: PlainService) -> None:
    with client(service.base_url) as http:
        first, second = (http.post("/v1/actions/evaluate", json=body(50)).json()["action_id"] for _ in range(2))
        assert [case["action_id"] for case in http.get("/v1/review-cases?status=pending").json()] == [second, first]
        review = f"/v1/review-cases/{service.case(first).id}"
        del http.headers["authorization"]  # who decides is told by one token
        done = http.post(f"{review}/resolve", json={"decision": "approved", "notes": "fine"}, headers=ADMIN)
        assert (done.status_code, done.json()["status"], done.json()["approver_notes"]) == (200, "approved", "fine")
        again = http.post(f"{review}/resolve", json={"decision": "rejected"}, headers=ADMIN)
        assert (again.status_code, again.json()) == (409, {"detail": "review already approved"})
        http.headers.update(bearer())
        assert [case["action_id"] for case in http.get("/v1/review-cases?status=approved").json()] == [first]
        assert http.get(review).json()["status"] == "approved"
        assert http.get("/v1/review-cases/none").json() == {"detail": "review not found"}


def test_only_ours_has_capabilities(service: PlainService) -> None:
    with client(service.base_url) as http:
        asked = http.get("/v1/capabilities")
    assert asked.status_code == (200 if isinstance(service, OurService) else 404)


def test_each_item_of_a_batch_stands_alone(ours: OurService) -> None:
    items = [body(1, id="a"), body(-1, id="b"), {"id": "c"}, body(500, id="d", shadow=True), 5]
    with client(ours.base_url) as http:
        answer = http.post("/v1/actions/evaluate/batch", json={"items": items}).json()["items"]
    assert [(item["id"], item.get("decision"), item.get("error", {}).get("status")) for item in answer] == [
        ("a", "allow", None), ("b", None, 429), ("c", None, 422), ("d", "allow", None), (None, None, 422),
    ]  # fmt: skip
    assert answer[3]["would_have"] == {"decision": "deny", "reasons": ["amount-exceeds-cap"], "rule_ids": []}
    assert ours.batches() == [5]


def test_the_same_id_is_evaluated_once(ours: OurService) -> None:
    with client(ours.base_url) as http:
        answers = [http.post("/v1/actions/evaluate", json=body(50, id="a")).json() for _ in range(2)]
        other = http.post("/v1/actions/evaluate", json=body(51, id="a"))
    assert answers[0] == answers[1]
    assert (answers[0]["id"], answers[0]["action_id"], len(ours.asked), len(ours.cases)) == ("a", "a", 1, 1)
    assert other.status_code == 409


def test_a_long_poll_answers_when_a_person_decides(ours: OurService) -> None:
    with client(ours.base_url) as http:
        http.post("/v1/actions/evaluate", json=body(50, id="a"))
        poll = "/v1/review-cases?action_id=a&wait=25"
        resolver = threading.Thread(
            target=lambda: (
                ours.wait_for(lambda: ours.counts["GET /v1/review-cases"] == 1),
                ours.resolve("a", "rejected"),
            )
        )
        resolver.start()
        assert [case["status"] for case in http.get(poll).json()] == ["rejected"]
        resolver.join()
        assert http.get("/v1/review-cases?action_id=b&wait=0").json() == []


def test_an_approval_is_redeemed_once_by_whom_it_was_given_to(ours: OurService) -> None:
    with client(ours.base_url) as http:

        def redeem(action_id: str = "a", digest: str = "d", subject: str | None = "ada") -> int:
            claim = {"digest": digest, "subject": subject}
            return http.post(f"/v1/approvals/{action_id}/redeem", json=claim).status_code

        for action_id in ("a", "b", "c"):
            http.post("/v1/actions/evaluate", json=body(50, id=action_id, digest="d", subject="ada"))
        assert (redeem(), redeem("none")) == (425, 404)
        own = http.post(f"/v1/review-cases/{ours.case('a').id}/resolve", json={"decision": "approved"})
        assert own.status_code == 403
        ours.resolve("a", "approved")
        ours.resolve("b", "rejected")
        ours.expire("c")
        assert [redeem(digest="e"), redeem(subject=None), redeem(), redeem()] == [403, 403, 200, 409]
        assert (redeem("b"), redeem("c")) == (403, 410)


def test_results_are_told(ours: OurService) -> None:
    with client(ours.base_url) as http:
        http.post("/v1/actions/evaluate", json=body(1, id="a"))
        told = [http.post(f"/v1/actions/{of}/result", json={"result": word}).status_code
                for of, word in (("a", "returned"), ("a", "not-run"), ("b", "raised"))]  # fmt: skip
    assert (told, ours.results) == ([200, 422, 404], {"a": "returned"})


def test_a_restart_keeps_port_and_state(service: PlainService) -> None:
    with client(service.base_url) as http:
        first = http.post("/v1/actions/evaluate", json=body(50)).json()["action_id"]
        service.kill()
        with pytest.raises(httpx.TransportError):
            http.get("/healthz")
        service.start()
        assert [case["action_id"] for case in http.get("/v1/review-cases").json()] == [first]


def test_a_connection_that_was_cut_is_made_again(service: PlainService) -> None:
    with client(service.base_url) as http:
        http.get("/healthz")
        service.cut()
        http.get("/healthz")
    assert [request.connection for request in service.requests] == [0, 1]


def test_what_is_held_is_answered_when_released(service: PlainService) -> None:
    service.hold()
    answers: list[int] = []
    with client(service.base_url) as http:
        caller = threading.Thread(target=lambda: answers.append(http.get("/healthz").status_code))
        caller.start()
        service.wait_for(lambda: service.counts["GET /healthz"] == 1)
        assert answers == []
        service.release()
        caller.join()
    assert answers == [200]


def test_every_byte_is_kept(service: PlainService) -> None:
    with client(service.base_url) as http:
        http.post("/v1/actions/evaluate", json=body(1))
        http.get("/healthz")
    assert service.wire == b"".join(request.raw for request in service.requests)
    assert service.wire.startswith(b"POST /v1/actions/evaluate HTTP/1.1\r\n")
    assert b'"payload":{"amount":1}' in service.requests[0].raw
    assert {request.connection for request in service.requests} == {0}


@pytest.mark.parametrize("capabilities", ["plain", "ours", "faulty"])
@pytest.mark.parametrize("name", [name for name in FAULTS if name != "one byte a second"])
def test_no_fault_looks_like_an_answer(name: str, capabilities: Any) -> None:
    """A client with a limit of its own gets no usable verdict from any of them."""
    with FAULTS[name](capabilities=capabilities) as peer:
        verify = ssl.create_default_context(cadata=peer.ca) if peer.ca else True
        with client(peer.base_url, timeout=0.3, verify=verify) as http:
            try:
                status, received = limited(http, 1 << 20)
            except (httpx.HTTPError, OSError):
                return
        assert status != 200 or not usable(received)


def limited(http: httpx.Client, limit: int) -> tuple[int, bytes]:
    received = b""
    with http.stream("POST", "/v1/actions/evaluate", json=body(1, id="a")) as answer:
        for block in answer.iter_bytes():
            received += block
            if len(received) > limit:
                break
        return answer.status_code, received


def usable(received: bytes) -> bool:
    try:
        value = json.loads(received)
        known = value["decision"] in ("allow", "deny", "review") and isinstance(value["reasons"], list)
        return known and value["id"] == "a"
    except (ValueError, TypeError, KeyError):
        return False


def test_a_service_falls_ill_and_gets_well(service: PlainService) -> None:
    with client(service.base_url) as http:
        service.fault = lambda request: ANSWERS["reset"](request) if request.method == "POST" else None
        with pytest.raises(httpx.TransportError):
            http.post("/v1/actions/evaluate", json=body(1))
        assert http.get("/v1/review-cases").json() == []
        service.fault = None
        assert http.post("/v1/actions/evaluate", json=body(1)).json()["decision"] == "allow"


def test_a_slow_answer_comes_byte_by_byte() -> None:
    with FAULTS["one byte a second"]() as peer:
        assert peer.server is not None
        with socket.create_connection(("127.0.0.1", peer.server.port)) as connection:
            connection.sendall(b"POST /v1/actions/evaluate HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            assert [connection.recv(100) for _ in range(4)] == [b"H", b"T", b"T", b"P"]


@pytest.mark.parametrize("name", ["1 GB", "1 GB chunked", "1 GB until close", "endless headers"])
def test_who_hangs_up_is_not_sent_the_rest(name: str) -> None:
    with FAULTS[name]() as peer:
        assert peer.server is not None
        with client(peer.base_url) as http, contextlib.suppress(httpx.HTTPError):
            limited(http, 1 << 20)
        peer.server.wait_for(lambda: len(peer.server.sent) == 1)  # type: ignore[union-attr]
        assert peer.server.sent[0] < 100 << 20
