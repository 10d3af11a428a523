"""Review cases: listed a page at a time, waited for, decided once, by a person."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor_guards.service.api import reviews
from supervisor_guards.service.wakeups import REVIEWS
from tests.service.serving import PATIENCE, Caller, Running, body, serving, two_processes, until

EVALUATE = "/v1/actions/evaluate"
CASES = "/v1/review-cases"
VERSION_1 = {
    "id", "action_id", "status", "action_payload", "action_type", "risk_score", "policy_hits", "created_at",
    "resolved_at", "approver", "approver_notes", "priority", "assigned_to",
}  # fmt: skip


def opened(http: httpx.Client, amount: float = 50, **fields: Any) -> str:
    """The id of a new review."""
    return str(http.post(EVALUATE, json=body(amount, **fields)).raise_for_status().json()["action_id"])


def decide(admin: httpx.Client, action_id: str, decision: str = "approved", **fields: Any) -> httpx.Response:
    return admin.post(f"{CASES}/{action_id}/resolve", json={"decision": decision, **fields})


def listed(http: httpx.Client, query: str = "") -> list[str]:
    return [case["action_id"] for case in http.get(CASES + query).raise_for_status().json()]


def test_a_case_as_version_1_shows_it(http: httpx.Client, admin: httpx.Client, shop: Caller) -> None:
    action_id = opened(http, agent_context={"user_id": "ann"})
    [case] = http.get(f"{CASES}?status=pending").json()
    assert set(case) >= VERSION_1
    assert http.get(f"{CASES}/{case['id']}").json() == case
    assert (case["action_id"], case["status"], case["state"]) == (action_id, "pending", "pending")
    assert (case["action_type"], case["action_payload"]) == ("refund", {"amount": 50, "odd": False})
    assert [(hit["rule_id"], hit["action"], hit["reason"]) for hit in case["policy_hits"]] == [
        ("look", "review", "amount-needs-a-look")
    ]
    assert (case["resolved_at"], case["approver"], case["requester"]) == (None, None, "ann")
    told = decide(admin, case["id"], "rejected", notes="ordered twice").json()
    assert (told["status"], told["state"], told["approver_notes"]) == ("rejected", "rejected", "ordered twice")
    assert told["approver"] == "admin token"
    assert told["integration_id"] == shop.id
    assert told["created_at"] < told["resolved_at"]
    assert told["resolved_at"].endswith("Z")


def test_an_integration_sees_its_own_and_people_see_all(
    http: httpx.Client, other: httpx.Client, admin: httpx.Client
) -> None:
    mine, theirs = opened(http), opened(other)
    assert (listed(http), listed(other)) == ([mine], [theirs])
    assert listed(admin)[:2] == [theirs, mine]
    for answer in (other.get(f"{CASES}/{mine}"), other.get(f"/v1/decisions/{mine}"), other.get(f"{CASES}/none")):
        assert answer.status_code == 404
    assert listed(other, f"?action_id={mine}") == []
    assert decide(other, mine).status_code == 404
    for answer in (other.get(f"/v1/decisions/{mine}/evidence"), other.get("/v1/decisions/none/evidence")):
        assert (answer.status_code, answer.json()) == (404, {"detail": "decision not found"})


def test_pages_follow_the_link_header_and_miss_nothing(http: httpx.Client, admin: httpx.Client) -> None:
    made = [opened(http, 50 + number) for number in range(7)]
    for number in (3, 0, 5, 1, 6):
        decide(admin, made[number]).raise_for_status()
    chosen = {
        "": made[::-1],
        "status=pending&": [made[4], made[2]],
        "status=approved&": [made[number] for number in (6, 1, 5, 0, 3)],
        "status=rejected&": [],
    }
    for query, expected in chosen.items():
        for limit in (1, 2, 3, 100):
            found: list[str] = []
            link: str | None = f"{CASES}?{query}limit={limit}"
            while link is not None:
                page = http.get(link).raise_for_status()
                assert len(page.json()) <= limit
                found += [case["action_id"] for case in page.json()]
                link = page.links.get("next", {}).get("url")
            assert found == expected, (query, limit)


def test_the_ends_that_version_1_does_not_know_are_told_as_ones_it_does(service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state", review_expires_seconds=3_600) as running:
        caller = running.integration()
        with caller.client(running.base_url) as http, running.admin() as admin:
            used, approved, ran, late = (opened(http, 50 + number) for number in range(4))
            also_ran = opened(http, 54, proceeds=True, id="ran-at-once", digest="d")
            for action_id in (used, approved):
                decide(admin, action_id).raise_for_status()
            digest = running.service.store.case(used).digest
            http.post(f"/v1/approvals/{used}/redeem", json={"digest": digest}).raise_for_status()
            running.service.store.mark_executed(ran)
            with running.service.store._connections.reading() as held:  # its time has come
                held.exec_driver_sql(f"UPDATE sg_reviews SET expires_at = 1 WHERE action_id = '{late}'")
                held.commit()
            assert listed(http, "?status=pending") == []
            assert listed(http, "?status=approved") == [approved, used, also_ran, ran]
            assert listed(http, "?status=rejected") == [late]
            states = {case["action_id"]: (case["status"], case["state"]) for case in http.get(CASES).json()}
            pages = http.get(f"{CASES}?status=approved&limit=3")
            rest = http.get(pages.links["next"]["url"]).json()
    assert states == {
        used: ("approved", "used"),
        approved: ("approved", "approved"),
        ran: ("approved", "executed"),
        also_ran: ("approved", "executed"),
        late: ("rejected", "expired"),
    }
    assert [case["action_id"] for case in rest] == [ran]


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_a_long_poll_hears_of_what_another_process_decides(service_url: str, tmp_path: Path, decision: str) -> None:
    with two_processes(service_url, tmp_path / "state") as (one, another):
        caller = one.integration()
        with caller.client(one.base_url) as http:
            action_id = opened(http)
            answers: list[Any] = []
            poll = threading.Thread(
                target=lambda: answers.append(http.get(f"{CASES}?action_id={action_id}&wait=30").json())
            )
            poll.start()
            until(lambda: one.service.wakeups._sleepers["reviews"])
            another.resolve(action_id, decision)
            poll.join(PATIENCE)
    [[case]] = answers
    assert (case["action_id"], case["status"], case["state"]) == (action_id, decision, decision)


def test_a_long_poll_that_nobody_answers_tells_where_it_stands(http: httpx.Client) -> None:
    action_id = opened(http)
    [case] = http.get(f"{CASES}?action_id={action_id}&wait=1").json()
    assert case["state"] == "pending"
    assert listed(http, f"?action_id={action_id}&status=approved") == []
    assert listed(http, f"?action_id={action_id}&status=pending&wait=0") == [action_id]
    assert listed(http, "?action_id=none&wait=30") == []


def test_more_long_polls_than_a_process_holds_are_answered_at_once(
    service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "MOST_WAITING", 1)
    with (
        serving(service_url, tmp_path / "state") as running,
        running.integration().client(running.base_url) as http,
    ):
        action_id = opened(http)
        asked = f"{CASES}?action_id={action_id}&wait=30"
        first = threading.Thread(target=http.get, args=(asked,))
        first.start()
        until(lambda: running.service.wakeups.sleeping(REVIEWS) == 1)
        [case] = http.get(asked).json()  # waiting, it would come when the first has gone
        assert (case["status"], running.service.wakeups.sleeping(REVIEWS)) == ("pending", 1)
        running.resolve(action_id)
        first.join()


def test_an_integration_does_not_decide_its_own_reviews_unless_it_was_made_to(
    running: Running, http: httpx.Client
) -> None:
    action_id = opened(http)
    refused = decide(http, action_id)
    assert refused.status_code == 403
    assert "may not resolve its own reviews" in refused.json()["detail"]
    trusted = running.integration(resolves_own=True)
    with trusted.client(
        running.base_url,
    ) as own:
        mine = opened(own)
        told = own.post(f"{CASES}/{mine}/resolve", json={"decision": "approved"}, headers={"x-approver": "ada"})
        assert decide(own, action_id).status_code == 404
    assert (told.status_code, told.json()["status"]) == (200, "approved")
    assert told.json()["approver"] == f"integration {trusted.name}, claiming ada"


def test_the_administrators_token_says_in_whose_name(http: httpx.Client, admin: httpx.Client) -> None:
    action_id = opened(http)
    path = f"{CASES}/{action_id}/resolve"
    told = admin.post(path, json={"decision": "approved"}, headers={"x-approver": "ada " + "x" * 300})
    assert told.json()["approver"].startswith("admin token, claiming ada x")
    assert len(told.json()["approver"]) < 250


def test_a_case_is_decided_once(http: httpx.Client, admin: httpx.Client) -> None:
    action_id = opened(http)
    decide(admin, action_id).raise_for_status()
    for decision in ("approved", "rejected"):
        again = decide(admin, action_id, decision)
        assert again.status_code == 409
        assert again.json() == {"detail": "review already approved"}
    assert decide(admin, "none").json() == {"detail": "review not found"}
    for wrong in ({"decision": "abandoned"}, {}, {"decision": "approved", "notes": 5}):
        assert admin.post(f"{CASES}/{action_id}/resolve", json=wrong).status_code == 422


def test_of_fifty_who_decide_in_two_processes_one_wins(service_url: str, tmp_path: Path) -> None:
    with two_processes(service_url, tmp_path / "state") as processes:
        caller = processes[0].integration()
        with caller.client(processes[0].base_url) as http:
            action_id = opened(http)

        def decided(number: int) -> tuple[int, str]:
            word = ("approved", "rejected")[number // 2 % 2]
            with processes[number % 2].admin() as admin:
                return decide(admin, action_id, word, notes=str(number)).status_code, word

        with ThreadPoolExecutor(50) as pool:
            came = list(pool.map(decided, range(50)))
        with caller.client(processes[1].base_url) as http:
            [case] = http.get(CASES).json()
    winners = [number for number, (status, _) in enumerate(came) if status == 200]
    assert sorted(status for status, _ in came) == [200] + [409] * 49
    assert (case["status"], case["approver_notes"]) == (came[winners[0]][1], str(winners[0]))
