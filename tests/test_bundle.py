"""`get_client().get_evidence`: the version 1 bundle, recomputed here from the formulas of the protocol."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor_guards import configure, get_client, get_guard, observing
from supervisor_guards.config import reset_for_tests

POLICY = """name: refund.base
version: 1
rules: [{id: large, when: payload.amount > 100, action: review, reason: large-refund}]
"""


@pytest.fixture(autouse=True)
def configured(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    configure(policy=str(tmp_path / "supervisor.yaml"), state_dir=str(tmp_path / "state"), enforcement_mode="enforce")
    yield
    reset_for_tests()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_bundle_of_a_reviewed_action_holds_what_happened_and_its_hashes_add_up() -> None:
    client = get_client()
    with observing(user_id="ann"):
        asked = client.evaluate("refund", {"amount": 500, "password": "hunter2"}, agent_context={"user_id": "ann"})
    client.resolve_review(asked.action_id, "approved", notes="called the customer", approver="ada")
    evidence = client.get_evidence(asked.action_id)
    assert [event["event_type"] for event in evidence["events"]] == [
        "action.received", "agent.context", "decision.made", "review.resolved",
    ]  # fmt: skip
    previous = sha(f"genesis:{asked.action_id}")
    for number, event in enumerate(evidence["events"], 1):
        canonical = json.dumps(event["event_payload"], sort_keys=True, separators=(",", ":"))
        assert (event["seq"], event["prev_hash"]) == (number, previous)
        previous = sha(f"{previous}|{number}|{event['event_type']}|{canonical}")
        assert event["hash"] == previous
    assert evidence["bundle_hash"] == sha(f"{asked.action_id}|refund|{evidence['status']}|{previous}")
    assert evidence["status"] == "approved"
    assert "hunter2" not in json.dumps(evidence)


def test_reading_evidence_changes_nothing() -> None:
    client = get_client()
    asked = client.evaluate("refund", {"amount": 5})
    first, second = client.get_evidence(asked.action_id), client.get_evidence(asked.action_id)
    assert {**first, "exported_at": 0} == {**second, "exported_at": 0}


def test_an_unknown_action_is_named() -> None:
    with pytest.raises(LookupError, match="no-such-action"):
        get_client().get_evidence("no-such-action")


def test_what_was_edited_is_not_signed(tmp_path: Path) -> None:
    asked = get_guard().check("refund", {"amount": 500}, on_review="fail_closed")
    assert get_client().get_evidence(asked.action_id)["bundle_signature"]
    with sqlite3.connect(tmp_path / "state" / "decisions.db") as database:
        database.execute("UPDATE sg_decisions SET outcome = 'allow'")
    database.close()
    evidence = get_client().get_evidence(asked.action_id)
    assert (evidence["chain_ok"], evidence["bundle_signature"]) == (False, "")
