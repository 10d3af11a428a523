"""Many actions in one request: each is judged, stored and answered by itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.service.serving import Running, body

BATCH = "/v1/actions/evaluate/batch"


def items(http: httpx.Client, *asked: Any) -> list[dict[str, Any]]:
    """The answers to one batch."""
    return http.post(BATCH, json={"items": asked}).raise_for_status().json()["items"]  # type: ignore[no-any-return]


def test_each_item_is_answered_under_its_own_id_in_its_place(http: httpx.Client) -> None:
    told = items(http, body(1, id="b-1"), body(500, id="b-2"), body(50, id="b-3"), body(500, id="b-4", shadow=True))
    assert [(one["id"], one["decision"], one["reasons"]) for one in told] == [
        ("b-1", "allow", ["passes-policy-and-risk"]),
        ("b-2", "deny", ["amount-exceeds-cap"]),
        ("b-3", "review", ["amount-needs-a-look"]),
        ("b-4", "allow", []),
    ]
    assert told[3]["would_have"] == {
        "decision": "deny",
        "reasons": ["amount-exceeds-cap"],
        "rule_ids": ["cap", "look"],
    }
    stored = [one["action_id"] for one in http.get("/v1/actions/recent").json()]
    assert sorted(stored) == ["b-1", "b-2", "b-3", "b-4"]
    assert [one["action_id"] for one in http.get("/v1/review-cases").json()] == ["b-3"]


def test_the_fault_of_one_item_is_its_own_answer(running: Running) -> None:
    caller = running.integration(scopes=["refund"])
    with caller.client(running.base_url) as http:
        http.post("/v1/actions/evaluate", json=body(1, id="c-taken", digest="d")).raise_for_status()
        told = items(
            http,
            body(1, id="c-1"),
            body(1, "payment", id="c-2"),
            {"id": "c-3"},
            5,
            body(2, id="c-taken", digest="e"),
            {"id": "c-4", "action_type": "refund", "payload": {"a": 1}, "mode": "sometimes"},
            body(1, id=7),
            body(1, "x" * 600, id="c-5"),
            body(1, id="c-6"),
        )
        stored = {one["action_id"] for one in http.get("/v1/actions/recent").json()}
    assert [(one["id"], one.get("decision"), one.get("error", {}).get("status")) for one in told] == [
        ("c-1", "allow", None),
        ("c-2", None, 403),
        ("c-3", None, 422),
        (None, None, 422),
        ("c-taken", None, 409),
        ("c-4", None, 422),
        (None, None, 422),
        ("c-5", None, 422),
        ("c-6", "allow", None),
    ]
    assert stored == {"c-1", "c-taken", "c-6"}


def test_the_same_action_twice_in_a_batch_is_one_action(http: httpx.Client) -> None:
    first, again = items(http, body(50, id="twice", digest="d"), body(50, id="twice", digest="d"))
    assert first == again
    assert len(http.get("/v1/actions/recent").json()) == 1


def test_a_batch_that_is_told_again_is_answered_again(http: httpx.Client) -> None:
    asked = [body(amount, id=f"again-{amount}", digest=f"d-{amount}") for amount in (1, 50, 500)]
    assert items(http, *asked) == items(http, *asked)
    assert len(http.get("/v1/actions/recent").json()) == 3


def test_equal_reviews_in_one_batch_are_one_case(http: httpx.Client) -> None:
    told = items(http, body(60, id="j-1", digest="d"), body(60, id="j-2", digest="d"), body(61, id="j-3", digest="e"))
    assert [one["action_id"] for one in told] == ["j-1", "j-1", "j-3"]
    assert [one["id"] for one in told] == ["j-1", "j-2", "j-3"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [({"items": [1] * 257}, 413), ({"items": {}}, 422), ({}, 422), ([], 422), ({"items": []}, 200)],
)
def test_what_is_no_batch(http: httpx.Client, asked: Any, status: int) -> None:
    answer = http.post(BATCH, json=asked)
    assert answer.status_code == status
    assert status != 413 or "257 items in one batch: at most 256 are taken" in answer.json()["detail"]


def test_what_happened_before_is_told_with_its_time_mode_and_end(http: httpx.Client) -> None:
    """What the client's background worker ships: calls that were not enforced, or that nobody could judge."""
    told = items(
        http,
        body(500, id="t-1", shadow=True, mode="shadow", time=1_700_000_000.5, enforced=False, sample_bucket=12),
        body(500, id="t-2", shadow=True, mode="enforce", enforced=True, status="unavailable", result="not-run"),
        body(1, id="t-3", shadow=True, mode="sample", enforced=False, result="returned"),
    )
    assert [one["decision"] for one in told] == ["allow"] * 3
    stored = {one["action_id"]: one for one in http.get("/v1/actions/recent").json()}
    assert stored["t-1"]["created_at"] == "2023-11-14T22:13:20.500000Z"
    assert [stored[name]["mode"] for name in ("t-1", "t-2", "t-3")] == ["shadow", "enforce", "sample"]
    assert [stored[name]["status"] for name in ("t-1", "t-2")] == ["evaluated", "unavailable"]
    assert [stored[name]["result"] for name in ("t-1", "t-2", "t-3")] == [None, "not-run", "returned"]
