"""Evaluations: each answer of the protocol's table, what is stored of it, and what a retry gets."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.serving import Caller, Running, body, new_name, payload, serving, two_processes

EVALUATE = "/v1/actions/evaluate"
KEYS = {
    "action_id", "decision", "reasons", "risk_score", "policy_version", "threat_level", "threats", "shadow_would_have",
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "query", "decision", "reasons", "would", "stored", "cases"),
    [
        (body(1), "", "allow", ["passes-policy-and-risk"], None, 1, 0),
        (body(500), "", "deny", ["amount-exceeds-cap"], None, 1, 0),
        (body(50), "", "review", ["amount-needs-a-look"], None, 1, 1),
        (body(1, shadow=True), "", "allow", [], "allow", 1, 0),
        (body(50, shadow=True), "", "allow", [], "review", 1, 0),
        (body(500, shadow=True), "", "allow", [], "deny", 1, 0),
        (body(1), "?dry_run=true", "allow", ["passes-policy-and-risk"], None, 0, 0),
        (body(50), "?dry_run=true", "review", ["amount-needs-a-look"], None, 0, 0),
        (body(500, shadow=True), "?dry_run=true", "deny", ["amount-exceeds-cap"], None, 0, 0),
    ],
)
def test_the_table_of_answers(
    http: httpx.Client,
    asked: dict[str, Any],
    query: str,
    decision: str,
    reasons: list[str],
    would: str | None,
    stored: int,
    cases: int,
) -> None:
    answer = http.post(EVALUATE + query, json=asked)
    recent = http.get("/v1/actions/recent").json()
    reviews = http.get("/v1/review-cases").json()
    assert answer.status_code == 200
    told = answer.json()
    assert set(told) >= KEYS
    assert (told["decision"], told["reasons"], told["shadow_would_have"]) == (decision, reasons, would)
    assert (told["risk_score"], told["threat_level"], told["threats"]) == (0, "none", [])
    assert told["policy_version"] == "refund.base@v1"
    assert (len(recent), len(reviews)) == (stored, cases)
    assert [item["action_id"] for item in recent] == ([told["action_id"]] if stored else [])
    assert stored or told["action_id"] == "dry-run"


def test_all_reasons_of_a_denial_in_the_order_of_the_rules(http: httpx.Client) -> None:
    asked = {"action_type": "refund", "payload": payload(500) | {"odd": True}}
    told = http.post(EVALUATE, json=asked).json()
    assert told["reasons"] == ["amount-exceeds-cap", "odd-one"]
    assert told["would_have"] == {"decision": "deny", "reasons": told["reasons"], "rule_ids": ["cap", "odd", "look"]}


def test_in_shadow_a_database_that_fails_does_not_break_the_application(service_url: str, tmp_path: Path) -> None:
    """A client of ours, which sends ids, tells it again later; the published one would raise."""
    with (
        serving(service_url, tmp_path / "state") as running,
        running.integration().client(running.base_url) as http,
    ):
        assert http.post(EVALUATE, json=body(1)).status_code == 200

        def work(held: Any, _note: Any) -> None:
            held.exec_driver_sql("DROP TABLE sg_decisions")

        running.service.store.transact(work)
        shadow = http.post(EVALUATE, json=body(500, shadow=True))
        others = [http.post(EVALUATE, json=asked) for asked in (body(1), body(1, shadow=True, id="mine", digest="d"))]
    assert (shadow.status_code, shadow.json()["decision"]) == (200, "allow")
    assert shadow.json()["reasons"] == ["not evaluated: the service can't reach its database"]
    assert [answer.status_code for answer in others] == [503, 503]
    assert others[0].headers["retry-after"] == "1"


def test_any_action_type_is_taken_and_one_without_a_policy_is_denied(http: httpx.Client) -> None:
    told = http.post(EVALUATE, json=body(1, "launch.rocket")).json()
    shadow = http.post(EVALUATE, json=body(1, "launch.rocket", shadow=True)).json()
    assert (told["decision"], told["reasons"], told["policy_version"]) == ("deny", ["no-policy"], "")
    assert (shadow["decision"], shadow["reasons"], shadow["shadow_would_have"]) == ("allow", [], "deny")


def test_without_any_policy_shadow_is_judged_by_the_starter_and_enforce_is_denied(
    service_url: str, tmp_path: Path
) -> None:
    with (
        serving(service_url, tmp_path / "state", policy=None) as running,
        running.integration().client(running.base_url) as http,
    ):
        enforced = http.post(EVALUATE, json=body(1)).json()
        shadow = http.post(EVALUATE, json=body(1, shadow=True)).json()
    assert (enforced["decision"], enforced["reasons"]) == ("deny", ["no-policy"])
    assert shadow["policy_version"] == "refund.starter@v1"


def test_scopes_are_those_of_the_integration_whatever_its_token_says(running: Running) -> None:
    caller = running.integration(scopes=["payment"])
    with caller.client(running.base_url) as http:
        told = http.post(EVALUATE, json=body(1))
        allowed = http.post(EVALUATE, json=body(1, "payment"))
        dry = http.post(EVALUATE + "?dry_run=true", json=body(1))
        shadow = http.post(EVALUATE, json=body(1, shadow=True))
    assert (told.status_code, told.json()) == (403, {"detail": "scope 'refund' not granted"})
    assert [answer.status_code for answer in (allowed, dry, shadow)] == [200, 403, 403]


def test_a_retry_with_the_same_id_gets_the_same_answer_and_is_judged_once(http: httpx.Client) -> None:
    for amount in (1, 50, 500):
        for shadow in (False, True):
            asked = body(amount, id=f"mine-{amount}-{shadow}", digest=f"d-{amount}", shadow=shadow)
            first, again = (http.post(EVALUATE, json=asked).json() for _ in range(2))
            assert first == again
            assert first["id"] == asked["id"]
    assert len(http.get("/v1/actions/recent").json()) == 6
    assert len(http.get("/v1/review-cases").json()) == 1


def test_an_id_that_is_taken_is_a_conflict_that_tells_nothing(
    http: httpx.Client, other: httpx.Client, shop: Caller
) -> None:
    http.post(EVALUATE, json=body(500, id="taken", digest="d-1")).raise_for_status()
    content = http.post(EVALUATE, json=body(1, id="taken", digest="d-2"))
    action = http.post(EVALUATE, json=body(500, "payment", id="taken", digest="d-1"))
    shadow = http.post(EVALUATE, json=body(500, id="taken", digest="d-1", shadow=True))
    same_digest = http.post(EVALUATE, json=body(501, id="taken", digest="d-1"))
    stranger = other.post(EVALUATE, json=body(500, id="taken", digest="d-1"))
    assert [answer.status_code for answer in (content, action, shadow, same_digest, stranger)] == [409] * 5
    assert stranger.json() == content.json()
    assert "'taken' is taken by another action" in stranger.json()["detail"]
    assert shop.id not in stranger.text
    assert "cap" not in stranger.text


def test_of_parallel_retries_in_two_processes_all_get_one_answer(service_url: str, tmp_path: Path) -> None:
    with two_processes(service_url, tmp_path / "state") as (one, other):
        caller = one.integration()

        def ask(number: int) -> dict[str, Any]:
            with caller.client((one, other)[number % 2].base_url) as http:
                return http.post(EVALUATE, json=body(50, id="same", digest="d")).raise_for_status().json()  # type: ignore[no-any-return]

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, range(32)))
        with caller.client(other.base_url) as http:
            assert len(http.get("/v1/actions/recent").json()) == 1
            assert len(http.get("/v1/review-cases").json()) == 1
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["decision"] == "review"


def test_an_equal_question_joins_the_open_review_of_the_same_integration_only(
    http: httpx.Client, other: httpx.Client
) -> None:
    def asked(by: httpx.Client, digest: str) -> str:
        question = body(50, id=new_name("joining"), digest=digest)
        return str(by.post(EVALUATE, json=question).raise_for_status().json()["action_id"])

    digest = new_name("digest")
    first, second, changed, theirs = asked(http, digest), asked(http, digest), asked(http, "x"), asked(other, digest)
    assert first == second
    assert len({first, changed, theirs}) == 3
    assert [item["id"] for item in http.get("/v1/review-cases").json()] == [changed, first]


def test_a_version_1_client_joins_no_review(http: httpx.Client, admin: httpx.Client) -> None:
    """It runs as soon as its review is approved and uses nothing up: one approval would be many executions."""
    first = http.post(EVALUATE, json=body(50)).json()["action_id"]
    second = http.post(EVALUATE, json=body(50)).json()["action_id"]
    admin.post(f"/v1/review-cases/{first}/resolve", json={"decision": "approved"}).raise_for_status()
    third = http.post(EVALUATE, json=body(50)).json()["action_id"]
    assert len({first, second, third}) == 3
    assert [item["status"] for item in http.get("/v1/review-cases").json()] == ["pending", "pending", "approved"]


def test_context_is_seen_by_the_policy_and_secrets_are_not_stored(http: httpx.Client) -> None:
    asked = body(1, agent_context={"session_id": "s-1", "password": "hunter2-hunter2"})
    asked["payload"]["card_token"] = "tok_live_abcdefghijklmnop"
    told = http.post(EVALUATE, json=asked).json()
    stored = http.get(f"/v1/decisions/{told['action_id']}")
    assert stored.json()["agent_context"]["session_id"] == "s-1"
    assert "hunter2" not in stored.text
    assert "tok_live" not in stored.text


def test_what_a_client_did_not_ask_about_is_ignored(http: httpx.Client) -> None:
    told = http.post(EVALUATE, json=body(1, colour="blue", nested={"a": [1]}))
    assert told.status_code == 200


def test_texts_that_no_database_takes_are_stored_cleaned(http: httpx.Client) -> None:
    """NUL is no text for PostgreSQL: it costs neither the answer nor the batch it travels in."""
    asked = body(1, agent_context={"user_id": "\0"})
    asked["payload"]["note"] = "a\0b"
    told = http.post(EVALUATE, json=asked)
    again = [http.post(EVALUATE, json=body(1, "re\0fund", subject="a\0", id="n\u00fcl")).json() for _ in range(2)]
    assert (told.status_code, told.json()["decision"]) == (200, "allow")
    assert again[0] == again[1]
    assert http.post(EVALUATE, json=body(1, id="a\0")).status_code == 422
    stored = http.get(f"/v1/decisions/{told.json()['action_id']}").json()
    assert re.fullmatch("a.b", stored["payload"]["note"])


def test_results_are_told_once_by_who_asked(http: httpx.Client, other: httpx.Client, shop: Caller) -> None:
    action_id = http.post(EVALUATE, json=body(1)).json()["action_id"]
    path = f"/v1/actions/{action_id}/result"
    assert other.post(path, json={"result": "raised"}).status_code == 404
    assert http.post("/v1/actions/none/result", json={"result": "raised"}).status_code == 404
    assert http.post(path, json={"result": "not-run"}).status_code == 422
    assert http.post(path, json={"result": "returned"}).json() == {"action_id": action_id, "result": "returned"}
    assert http.post(path, json={"result": "raised"}).json()["result"] == "returned"
    assert http.get(f"/v1/decisions/{action_id}").json()["result"] == "returned"


def test_many_results_are_told_at_once(http: httpx.Client, other: httpx.Client) -> None:
    """Also of actions that are not there: a client tells of what it did, whether or not anybody recorded it."""
    mine, next_one = (http.post(EVALUATE, json=body(amount)).json()["action_id"] for amount in (1, 2))
    theirs = other.post(EVALUATE, json=body(1)).json()["action_id"]
    told = [{"id": name, "result": "raised"} for name in (mine, theirs, "none", "a\0")]
    assert http.post(f"/v1/actions/{next_one}/result", json={"result": "returned"}).status_code == 200
    assert http.post("/v1/actions/results", json={"items": [*told, {"id": next_one, "result": "raised"}]}).json() == {
        "noted": 2
    }
    found = [client.get(f"/v1/decisions/{name}").json()["result"]
             for client, name in ((http, mine), (http, next_one), (other, theirs))]  # fmt: skip
    assert found == ["raised", "returned", None]
    for wrong in ([{"id": mine, "result": "perhaps"}], [{"id": mine}], {}, [{"id": "x", "result": "raised"}] * 1_001):
        assert http.post("/v1/actions/results", json={"items": wrong}).status_code in (413, 422)


def test_a_retry_of_what_runs_without_waiting_leaves_nothing_to_approve(
    http: httpx.Client, admin: httpx.Client
) -> None:
    name = new_name("retried")
    asked = body(50, id=name, digest="d")
    # As if the first answer's process had died once the decision was committed.
    assert http.post("/v1/actions/evaluate", json=asked).json()["decision"] == "review"
    assert http.post("/v1/actions/evaluate", json={**asked, "proceeds": True}).json()["action_id"] == name
    resolved = admin.post(f"/v1/review-cases/{name}/resolve", json={"decision": "approved"})
    assert resolved.status_code == 409
    redeemed = http.post(f"/v1/approvals/{name}/redeem", json={"digest": "d"})
    assert (redeemed.status_code, redeemed.json()["detail"]) == (409, "approval already-executed")
