"""What was decided is read again: one decision, the newest, and the evidence bundle as version 1 computes it."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest

from tests.service.serving import Running, body

EVALUATE = "/v1/actions/evaluate"
RECENT = "/v1/actions/recent"
VERSION_1 = {
    "action_id", "action_type", "decision", "reasons", "risk_score", "policy_version", "created_at", "latency_ms",
    "shadow",
}  # fmt: skip


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_newest_decisions_and_one(http: httpx.Client) -> None:
    made = [http.post(EVALUATE, json=body(amount, shadow=shadow)).json()["action_id"]
            for amount, shadow in ((1, False), (500, False), (500, True), (50, False))]  # fmt: skip
    found = http.get(RECENT).json()
    assert [one["action_id"] for one in found] == made[::-1]
    assert all(set(one) >= VERSION_1 for one in found)
    assert [(one["decision"], one["reasons"], one["shadow"]) for one in found] == [
        ("review", ["amount-needs-a-look"], False),
        ("allow", [], True),
        ("deny", ["amount-exceeds-cap"], False),
        ("allow", [], False),
    ]
    assert {one["policy_version"] for one in found} == {"refund.base@v1"}
    assert http.get(f"/v1/decisions/{made[2]}").json() == found[1]
    assert found[1]["would_have"]["decision"] == "deny"


@pytest.mark.parametrize(
    ("query", "amounts"),
    [
        ("", [51, 502, 501, 2, 1]),
        ("?include_shadow=false", [51, 501, 1]),
        ("?include_shadow=true", [51, 502, 501, 2, 1]),
        ("?decision=deny", [501]),
        ("?decision=review", [51]),
        ("?decision=allow", [502, 2, 1]),
        ("?decision=allow&include_shadow=false", [1]),
        ("?limit=2", [51, 502]),
        ("?decision=deny&limit=1", [501]),
    ],
)
def test_recent_is_filtered(http: httpx.Client, query: str, amounts: list[int]) -> None:
    for amount, shadow in ((1, False), (2, True), (501, False), (502, True), (51, False)):
        http.post(EVALUATE, json=body(amount, shadow=shadow)).raise_for_status()
    assert [one["payload"]["amount"] for one in http.get(RECENT + query).json()] == amounts


@pytest.mark.parametrize("query", ["", "decision=deny&", "include_shadow=false&"])
def test_recent_comes_in_pages_that_keep_their_filters(http: httpx.Client, query: str) -> None:
    items = [body(500 + number, id=None, shadow=number % 3 == 0) for number in range(7)]
    for item in items:
        http.post(EVALUATE, json=item).raise_for_status()
    whole = [one["action_id"] for one in http.get(f"{RECENT}?{query}").json()]
    found: list[str] = []
    link: str | None = f"{RECENT}?{query}limit=2"
    while link is not None:
        page = http.get(link).raise_for_status()
        found += [one["action_id"] for one in page.json()]
        link = page.links.get("next", {}).get("url")
    assert found == whole
    assert len(whole) == (7 if not query else 4)


@pytest.mark.parametrize("decided", [None, "approved", "rejected"])
@pytest.mark.parametrize("context", [None, {"session_id": "s-1", "naïve": "ü"}])
def test_the_evidence_bundle_is_as_version_1_computes_it(
    running: Running, http: httpx.Client, admin: httpx.Client, decided: str | None, context: dict[str, Any] | None
) -> None:
    asked = body(50, **({"agent_context": context} if context else {}))
    action_id = http.post(EVALUATE, json=asked).json()["action_id"]
    if decided:
        resolution = {"decision": decided, "notes": "naïve"}
        admin.post(f"/v1/review-cases/{action_id}/resolve", json=resolution).raise_for_status()
    bundle = http.get(f"/v1/decisions/{action_id}/evidence").json()
    expected = ["action.received", *(["agent.context"] if context else []), "decision.made"]
    assert [event["event_type"] for event in bundle["events"]] == expected + (["review.resolved"] if decided else [])
    previous = sha256(f"genesis:{action_id}")
    for number, event in enumerate(bundle["events"], 1):
        canonical = json.dumps(event["event_payload"], sort_keys=True, separators=(",", ":"))
        assert (event["seq"], event["prev_hash"]) == (number, previous)
        previous = sha256(f"{previous}|{number}|{event['event_type']}|{canonical}")
        assert event["hash"] == previous
    status = decided or "pending"
    assert (bundle["action_id"], bundle["action_type"], bundle["status"]) == (action_id, "refund", status)
    assert bundle["bundle_hash"] == sha256(f"{action_id}|refund|{status}|{previous}")
    signature = hmac.new(running.service.bundle_key, bundle["bundle_hash"].encode(), hashlib.sha256).hexdigest()
    assert bundle["bundle_signature"] == signature
    assert (bundle["chain_ok"], bundle["broken_at_seq"]) == (True, None)
    [made] = [event["event_payload"] for event in bundle["events"] if event["event_type"] == "decision.made"]
    assert made["policy_version"] == "refund.base@v1"


def test_reading_evidence_writes_nothing(http: httpx.Client) -> None:
    action_id = http.post(EVALUATE, json=body(1)).json()["action_id"]
    first, again = (http.get(f"/v1/decisions/{action_id}/evidence").json() for _ in range(2))
    assert first.pop("exported_at") <= again.pop("exported_at")
    assert first == again


def test_the_catalogue_is_public(running: Running) -> None:
    told = httpx.get(f"{running.base_url}/v1/action-types", trust_env=False).json()["action_types"]
    found = [one for one in told if one["policy_ref"] == "refund.base@v1"]
    assert [one["id"] for one in found] == ["payment", "refund"]
    assert found[1] == {
        "id": "refund",
        "title": "refund",
        "one_liner": "Too much at once.",
        "status": "live",
        "intercepted_signals": found[1]["intercepted_signals"],
        "sample_payload": {"amount": 1, "odd": False},
        "policy_ref": "refund.base@v1",
    }


def test_capabilities_and_health_are_public(running: Running) -> None:
    with httpx.Client(base_url=running.base_url, trust_env=False) as http:
        told = http.get("/v1/capabilities").json()
        assert set(told["capabilities"]) >= {"batch", "long_poll", "redeem", "result"}
        assert told["max_batch"] == 256
        assert http.get("/healthz").json() == {"status": "ok"}
        assert http.get("/readyz").json() == {"status": "ok"}


def test_integrations_are_made_listed_and_ended(running: Running, admin: httpx.Client) -> None:
    caller = running.integration(scopes=["refund", "payment"], per_minute=7)
    duplicate = admin.post("/v1/integrations", json={"name": caller.name})
    assert duplicate.status_code == 409
    assert duplicate.json()["detail"] == f"there is an integration named {caller.name!r} already: choose another name"
    made = admin.post("/v1/integrations", json={"name": caller.name + "-2"})
    assert made.status_code == 201
    assert {"id", "name", "scopes", "active", "created_at", "revoked_at", "execute_url", "execute_method", "tenant_id",
            "shared_secret"} <= set(made.json())  # fmt: skip
    assert made.json()["scopes"] == ["*"]
    listed = {one["id"]: one for one in admin.get("/v1/integrations").json()}
    assert listed[caller.id]["scopes"] == ["refund", "payment"]
    assert listed[caller.id]["per_minute"] == 7
    assert not any("secret" in name for one in listed.values() for name in one)
    assert admin.post(f"/v1/integrations/{caller.id}/revoke").json()["revoked_at"] is not None
    for path in (f"{caller.id}/revoke", f"{caller.id}/rotate-secret", "none/revoke", "none/rotate-secret"):
        assert admin.post(f"/v1/integrations/{path}").status_code == 404
    with caller.client(running.base_url) as http:
        told = http.post(EVALUATE, json=body(1))
    assert (told.status_code, told.json()) == (401, {"detail": "integration not found or revoked"})
