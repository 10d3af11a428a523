"""`get_client()` with a service: the published client's methods, on both kinds of service."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from supervisor_guards import ConfigurationError, SupervisorUnavailable, configure, get_client
from supervisor_guards.config import reset_for_tests
from tests.remote.peers import ADMIN_TOKEN, APP_ID, SECRET, OurService, PlainService
from tests.remote.serving import by_amount, guarded_by

SERVICES = [PlainService, OurService]


@pytest.mark.parametrize("service", SERVICES)
def test_every_method_asks_the_service(service: type[PlainService]) -> None:
    with service(by_amount) as peer, guarded_by(peer.base_url, reviewer_token=ADMIN_TOKEN):
        client = get_client()
        denied = client.evaluate("refund", {"amount": 500}, agent_context={"session_id": "s-1"})
        assert (denied.decision, denied.reasons, denied.shadow_would_have) == ("deny", ["too-much-500"], None)
        assert peer.asked[-1].agent_context == {"session_id": "s-1"}
        observed = client.evaluate("refund", {"amount": 500}, shadow=True)
        assert (observed.decision, observed.reasons, observed.shadow_would_have) == ("allow", [], "deny")
        assert client.evaluate("refund", {"amount": 500}, dry_run=True).action_id == "dry-run"
        held = client.evaluate("refund", {"amount": 50, "password": "hunter2-hunter2"})
        assert b"hunter2" not in peer.wire
        (case,) = client.list_reviews(status="pending")
        assert (case.action_id, case.status, case.action_type) == (held.action_id, "pending", "refund")
        assert client.get_review(case.id)["status"] == "pending"
        resolved = client.resolve_review(case.id, "approved", notes="fine", approver="ada")
        assert (resolved["status"], resolved["approver_notes"]) == ("approved", "fine")
        assert "ada" in resolved["approver"]
        assert client.list_reviews(status="pending") == []
        assert client.get_evidence(held.action_id)["action_id"] == held.action_id
        assert [each["id"] for each in client.list_action_types()] == ["refund", "payment"]
        client.close()


def test_an_unknown_id_is_a_lookup_error() -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url):
        for method in ("get_review", "get_evidence"):
            with pytest.raises(LookupError, match="404"):
                getattr(get_client(), method)("no/such id")


def test_a_service_that_is_gone_is_told_as_such() -> None:
    with PlainService(by_amount) as peer, guarded_by(peer.base_url):
        peer.kill()
        with pytest.raises(SupervisorUnavailable, match="could not be reached"):
            get_client().list_reviews()


def test_deciding_needs_a_reviewers_token_at_a_service_of_ours() -> None:
    with OurService(by_amount) as peer, guarded_by(peer.base_url):
        held = get_client().evaluate("refund", {"amount": 50})
        case = peer.case(held.action_id)
        with pytest.raises(ConfigurationError, match="SUPERVISOR_REVIEWER_TOKEN"):
            get_client().resolve_review(case.id, "approved")
        assert case.status == "pending"


def test_settings_of_the_environment_choose_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with OurService(by_amount) as peer:
        for name, value in (("BASE_URL", peer.base_url), ("APP_ID", APP_ID), ("SECRET", SECRET)):
            monkeypatch.setenv(f"SUPERVISOR_{name}", value)
        configure(enforcement_mode="enforce", evaluate_timeout_seconds=30)
        try:
            assert get_client().evaluate("refund", {"amount": 1}).decision == "allow"
        finally:
            reset_for_tests()


@pytest.mark.parametrize("settings", [{"app_id": APP_ID}, {"shared_secret": SECRET}, {}])
def test_an_address_without_an_id_and_a_secret_is_a_warning_in_shadow(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configure("https://supervisor.invalid", database_url="memory:", **settings)
    try:
        assert get_client().evaluate("refund", {"amount": 1}).decision  # the embedded supervisor answers
        (line,) = [record for record in caplog.records if "embedded supervisor in shadow" in record.message]
        assert line.levelno == logging.WARNING
        assert SECRET not in line.message
    finally:
        reset_for_tests()
