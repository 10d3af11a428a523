"""One approval, one execution: for what was approved, by whom it was approved for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.serving import body, new_name, serving, two_processes

ANN = {"subject": "ann", "route": "POST /refunds", "tenant": "shop-1"}


class Case:
    """A review that `http` asked for, and what its approval is redeemed with."""

    def __init__(self, http: httpx.Client, **fields: Any) -> None:
        self.http = http
        self.claim = {"digest": new_name("digest"), **ANN}
        asked = body(50, id=new_name("case"), **self.claim, **fields)
        self.id: str = http.post("/v1/actions/evaluate", json=asked).raise_for_status().json()["action_id"]
        self.claim["action_type"] = "refund"

    def decided(self, admin: httpx.Client, decision: str = "approved") -> Case:
        admin.post(f"/v1/review-cases/{self.id}/resolve", json={"decision": decision}).raise_for_status()
        return self

    def redeem(self, by: httpx.Client | None = None, **changes: Any) -> httpx.Response:
        wanted = {name: value for name, value in {**self.claim, **changes}.items() if value is not None}
        return (by or self.http).post(f"/v1/approvals/{self.id}/redeem", json=wanted)


def test_an_approval_is_used_once(http: httpx.Client, admin: httpx.Client) -> None:
    case = Case(http)
    early = case.redeem()
    assert (early.status_code, early.json()) == (425, {"detail": "approval pending"})
    case.decided(admin)
    first, second = case.redeem(), case.redeem()
    assert (first.status_code, first.json()) == (200, {"action_id": case.id, "status": "used"})
    assert (second.status_code, second.json()) == (409, {"detail": "approval used"})
    assert http.get(f"/v1/review-cases/{case.id}").json()["state"] == "used"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"digest": "another"}, "approval other-content"),
        ({"subject": "bob"}, "approval other-subject"),
        ({"subject": None}, "approval other-subject"),
        ({"route": "POST /payments"}, "approval other-route"),
        ({"tenant": "shop-2"}, "approval other-tenant"),
        ({"action_type": "payment"}, "approval other-action"),
    ],
)
def test_an_approval_is_for_what_was_approved(
    http: httpx.Client, admin: httpx.Client, changes: dict[str, Any], detail: str
) -> None:
    case = Case(http).decided(admin)
    refused = case.redeem(**changes)
    assert (refused.status_code, refused.json()) == (403, {"detail": detail})
    assert case.redeem().status_code == 200  # a refused try uses nothing up


def test_what_version_1_names_is_enough_where_no_request_was_served(http: httpx.Client, admin: httpx.Client) -> None:
    case = Case(http).decided(admin)
    assert case.redeem(subject=None, route=None, tenant=None, action_type=None).status_code == 200


def test_a_rejected_one_is_not_redeemed(http: httpx.Client, admin: httpx.Client) -> None:
    refused = Case(http).decided(admin, "rejected").redeem()
    assert (refused.status_code, refused.json()) == (403, {"detail": "approval rejected"})


def test_what_ran_already_is_used(http: httpx.Client, admin: httpx.Client) -> None:
    """`fail_open`: the action ran while it waited, so there is nothing left to approve."""
    case = Case(http, proceeds=True)
    refused = case.redeem()
    assert (refused.status_code, refused.json()) == (409, {"detail": "approval already-executed"})
    late = admin.post(f"/v1/review-cases/{case.id}/resolve", json={"decision": "approved"})
    assert late.status_code == 409


def test_another_integrations_approval_is_not_there(
    http: httpx.Client, other: httpx.Client, admin: httpx.Client
) -> None:
    case = Case(http).decided(admin)
    refused = case.redeem(other)
    assert (refused.status_code, refused.json()) == (404, {"detail": "approval not-found"})
    assert other.post("/v1/approvals/none/redeem", json={"digest": "d"}).json() == refused.json()
    assert case.redeem().status_code == 200


def test_nobody_but_an_integration_redeems(http: httpx.Client, admin: httpx.Client) -> None:
    assert Case(http).decided(admin).redeem(admin).status_code == 401


def test_an_expired_one_is_gone(service_url: str, tmp_path: Path) -> None:
    with (
        serving(service_url, tmp_path / "state", review_expires_seconds=0.001) as running,
        running.integration().client(running.base_url) as http,
        running.admin() as admin,
    ):
        case = Case(http)
        refused = case.redeem()
        assert (refused.status_code, refused.json()) == (410, {"detail": "approval expired"})
        late = admin.post(f"/v1/review-cases/{case.id}/resolve", json={"decision": "approved"})
        assert late.status_code == 409
        assert http.get(f"/v1/review-cases/{case.id}").json()["state"] == "expired"


def test_of_fifty_who_redeem_in_two_processes_one_wins(service_url: str, tmp_path: Path) -> None:
    with two_processes(service_url, tmp_path / "state") as processes:
        caller = processes[0].integration()
        with caller.client(processes[0].base_url) as http, processes[1].admin() as admin:
            case = Case(http).decided(admin)

            def redeemed(number: int) -> int:
                with caller.client(processes[number % 2].base_url) as one:
                    return case.redeem(one).status_code

            with ThreadPoolExecutor(50) as pool:
                came = list(pool.map(redeemed, range(50)))
    assert sorted(came) == [200] + [409] * 49
