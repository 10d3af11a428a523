"""`get_client()` with a reviewer's token at the service: one credential in each request."""

from __future__ import annotations

import pytest

from supervisor_guards import ConfigurationError
from supervisor_guards._remote_client import RemoteClient
from supervisor_guards.remote.client import RemoteSupervisor
from tests.service.serving import ADMIN_TOKEN, Caller, Running, new_name, payload
from tests.service.test_our_client import guard_of


@pytest.mark.parametrize("whose", ["a person's", "the administrator's"])
def test_a_review_is_resolved_with_the_reviewers_token_alone(running: Running, shop: Caller, whose: str) -> None:
    name = new_name("rita")
    token, approver = ADMIN_TOKEN, "admin token, claiming ada"
    if whose == "a person's":
        with running.admin() as http:
            person = http.post("/v1/people", json={"name": name, "role": "reviewer"}).raise_for_status().json()
        _, token = running.service.tokens.create(person["id"], "desk", "tests")
        approver = name
    with guard_of(running, shop, reviewer_token=token) as guard:
        action_id = guard.check("refund", payload(50)).action_id
        supervisor = guard.supervisor
        assert isinstance(supervisor, RemoteSupervisor)
        resolved = RemoteClient(guard, supervisor).resolve_review(action_id, "approved", "fine", approver="ada")
    assert (resolved["status"], resolved["approver"], resolved["approver_notes"]) == ("approved", approver, "fine")


@pytest.mark.parametrize("token", ["sgr_of-nobody", "of nobody"])
def test_a_token_that_is_not_in_force_is_named_as_the_setting_to_look_at(
    running: Running, shop: Caller, token: str
) -> None:
    with guard_of(running, shop, reviewer_token=token) as guard:
        supervisor = guard.supervisor
        assert isinstance(supervisor, RemoteSupervisor)
        with pytest.raises(ConfigurationError, match="SUPERVISOR_REVIEWER_TOKEN") as caught:
            RemoteClient(guard, supervisor).resolve_review("a-1", "approved")
    assert token not in str(caught.value)
