"""Lists that are searched, `GET /v1/desk`, and reviews that nobody needs: what desks elsewhere ask for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.service.serving import Caller, Running, body, new_name

CONTENT = [
    {"amount": 1, "action_type": "refund", "route": "orders.refund", "subject": "user:1"},
    {"amount": 60, "action_type": "refund", "route": "orders.refund", "subject": "user:2"},
    {"amount": 70, "action_type": "payment", "route": "orders.pay", "subject": "user:2"},
    {"amount": 500, "action_type": "payment", "subject": "user:1", "shadow": True, "mode": "shadow"},
]


@pytest.fixture
def names(http: httpx.Client) -> list[str]:
    """The ids of what `shop` asked, in the order of `CONTENT`."""
    ids = [new_name("asked") for _ in CONTENT]
    for action_id, asked in zip(ids, CONTENT, strict=True):
        fields = dict(asked)
        amount = fields.pop("amount")
        http.post("/v1/actions/evaluate", json={**body(amount, **fields), "id": action_id}).raise_for_status()
    return ids


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"action_type": "refund"}, [1, 0]),
        ({"route": "orders.pay"}, [2]),
        ({"subject": "user:1"}, [3, 0]),
        ({"mode": "shadow"}, [3]),
        ({"outcome": "review"}, [2, 1]),
        ({"would_have": "deny"}, [3]),
        ({"status": "evaluated"}, [3, 2, 1, 0]),
        ({"rule": "look"}, [3, 2, 1]),
        ({"rule": "look", "decision": "deny"}, []),
        ({"subject": "user:1", "include_shadow": "false"}, [0]),
        ({"text": "ORDERS."}, [2, 1, 0]),
        ({"since": "1"}, [3, 2, 1, 0]),
        ({"until": "1"}, []),
        ({"action_type": "nothing"}, []),
    ],
)
def test_decisions_are_searched_among_the_callers_own(
    http: httpx.Client, other: httpx.Client, names: list[str], asked: dict[str, str], found: list[int]
) -> None:
    answer = http.get("/v1/actions/recent", params=asked)
    assert [item["action_id"] for item in answer.json()] == [names[number] for number in found]
    assert other.get("/v1/actions/recent", params=asked).json() == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"order": "newest"}, [2, 1]),
        ({"order": "oldest"}, [1, 2]),
        ({"state": "pending", "order": "oldest"}, [1, 2]),
        ({"state": "used"}, []),
        ({"action_type": "payment"}, [2]),
        ({"subject": "user:2", "route": "orders.refund"}, [1]),
        ({"text": "needs-A-look"}, [2, 1]),
        ({"until": "1"}, []),
        ({"priority": "urgent"}, []),
        ({"priority": "normal", "order": "queue"}, [1, 2]),
        ({"order": "queue", "state": "rejected"}, []),
    ],
)
def test_reviews_are_searched_among_the_callers_own(
    http: httpx.Client, other: httpx.Client, names: list[str], asked: dict[str, str], found: list[int]
) -> None:
    answer = http.get("/v1/review-cases", params=asked)
    assert [item["action_id"] for item in answer.json()] == [names[number] for number in found]
    assert other.get("/v1/review-cases", params=asked).json() == []


@pytest.mark.parametrize(
    ("path", "asked", "found"),
    [
        ("/v1/actions/recent", {"text": "user:"}, [3, 2, 1, 0]),
        ("/v1/actions/recent", {}, [3, 2, 1, 0]),
        ("/v1/review-cases", {"order": "newest"}, [2, 1]),
        ("/v1/review-cases", {"order": "oldest"}, [1, 2]),
    ],
)
def test_pages_of_a_search_follow_by_the_link(
    http: httpx.Client, names: list[str], path: str, asked: dict[str, str], found: list[int]
) -> None:
    seen: list[str] = []
    answer = http.get(path, params={**asked, "limit": "1"})
    while True:
        seen += [item["action_id"] for item in answer.json()]
        if "next" not in answer.links:
            break
        answer = http.get(answer.links["next"]["url"])
    assert seen == [names[number] for number in found]


def test_the_queue_is_by_priority_and_version_1s_lists_are_not(http: httpx.Client, other: httpx.Client) -> None:
    def opened(**fields: Any) -> str:
        asked = body(60)
        asked["payload"] |= {"number": new_name("n"), **fields}
        return str(http.post("/v1/actions/evaluate", json=asked).raise_for_status().json()["action_id"])

    ids = [opened(), opened(soon=True), opened(), opened(soon=True)]
    asked: dict[str, str] = {"order": "queue", "limit": "1"}
    seen, answer = [], http.get("/v1/review-cases", params=asked)
    while True:
        seen += [(item["action_id"], item["priority"]) for item in answer.json()]
        if "next" not in answer.links:
            break
        answer = http.get(answer.links["next"]["url"])
    assert seen == [(ids[1], "urgent"), (ids[3], "urgent"), (ids[0], "normal"), (ids[2], "normal")]
    assert other.get("/v1/review-cases", params=asked).json() == []
    for query in ("", "?status=pending"):
        listed = http.get(f"/v1/review-cases{query}").json()
        assert [item["action_id"] for item in listed] == ids[::-1]
        assert [item["priority"] for item in listed] == ["urgent", "normal", "urgent", "normal"]
    (hit,) = [hit for hit in http.get(f"/v1/review-cases/{ids[1]}").json()["policy_hits"] if hit["rule_id"] == "soon"]
    assert hit["priority"] == "urgent"


def test_the_desks_sums_are_of_what_the_caller_may_see(
    http: httpx.Client, other: httpx.Client, admin: httpx.Client, names: list[str]
) -> None:
    def asked(client: httpx.Client, *windows: str) -> Any:
        return client.get("/v1/desk", params={"window": list(windows)}).raise_for_status().json()

    mine = asked(http)
    assert (mine["waiting"], mine["action_types"], mine["rules"]) == (2, ["payment", "refund"], [])
    assert mine["routes"] == ["orders.pay", "orders.refund"]
    first, last = mine["span"]
    assert first <= last
    around = f"{first // 60_000_000 * 60_000_000}-{last // 60_000_000 * 60_000_000 + 60_000_000}"
    assert asked(http, "60000000000-60060000000", around)["recorded"] == [False, True]
    nothing = {"waiting": 0, "action_types": [], "routes": [], "rules": [], "span": None, "recorded": [False]}
    assert asked(other, around) == nothing
    everything = asked(admin, around, "60000000000-60060000000")
    assert everything["recorded"] == [True, False]
    assert everything["waiting"] >= 2
    assert {"cap", "look"} <= set(everything["rules"])


@pytest.mark.parametrize(
    "target",
    [
        "/v1/actions/recent?mode=loud",
        "/v1/actions/recent?since=yesterday",
        "/v1/review-cases?state=gone",
        "/v1/review-cases?order=random",
        "/v1/review-cases?priority=5",
        "/v1/desk?window=1",
        "/v1/desk?window=a-b",
        "/v1/desk?" + "&".join(["window=1-2"] * 401),
    ],
)
def test_parameters_that_can_not_be_are_named(http: httpx.Client, target: str) -> None:
    answer = http.get(target)
    assert (answer.status_code, answer.json()["detail"][0]["loc"][0]) == (422, "query")


def test_a_review_that_nobody_needs_is_abandoned_once(running: Running, shop: Caller, admin: httpx.Client) -> None:
    action_id = new_name("asked")
    with shop.client(running.base_url) as http:
        http.post("/v1/actions/evaluate", json={**body(60), "id": action_id}).raise_for_status()
        path = f"/v1/review-cases/{action_id}"
        claiming = {"x-approver": "ada"}
        found = admin.post(f"{path}/abandon", json={"notes": "ordered twice"}, headers=claiming).json()
        assert (found["state"], found["status"], found["approver_notes"]) == ("abandoned", "rejected", "ordered twice")
        assert found["approver"] == "admin token, claiming ada"
        again = admin.post(f"{path}/abandon")
        assert (again.status_code, again.json()["detail"]) == (409, "review already abandoned")
