"""The pages that only the service has: policies, and signing in; and who may use them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.console.scene import Scene, scene
from tests.console.visiting import csrf, signed_in
from tests.service.doors import PASSWORD
from tests.service.serving import PATIENCE


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A service with people of each role."""
    with scene(tmp_path_factory.mktemp("pages")) as made:
        yield made


def test_an_administrator_promotes_a_version_after_looking_at_what_changes(shown: Scene) -> None:
    made = shown.new_policy()
    assert shown.ask(95)["decision"] == "review"
    with signed_in(shown, "administrator") as http:
        page = http.get(f"/policies/{made}")
        assert "Never promoted" in page.text
        assert "payload.amount &gt; 90" in page.text
        assert "Compared with" in page.text
        place, token = f"/policies/{made}/promote", csrf(page)
        assert http.post(place, data={"csrf_token": token}).status_code == 422
        assert http.post(place, data={"sure": "yes"}).status_code == 403
        assert http.post(place, data={"csrf_token": token, "sure": "yes"}).status_code == 303
        assert "In force" in http.get(f"/policies/{made}").text
    assert shown.running.service.versions.get(made).active


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
def test_others_read_policies_and_promote_none(shown: Scene, role: str) -> None:
    made = shown.new_policy()
    with signed_in(shown, role) as http:
        page = http.get(f"/policies/{made}")
        assert page.status_code == 200
        assert "/promote" not in page.text
        sent = {"csrf_token": csrf(page), "sure": "yes"}
        assert http.post(f"/policies/{made}/promote", data=sent).status_code == 403
        assert http.get("/administration").status_code == 403
        assert "Administration" not in page.text
    assert not shown.running.service.versions.get(made).active


def test_a_payload_is_tried_and_nothing_is_stored(shown: Scene) -> None:
    made = shown.new_policy()
    before = shown.running.service.desk.span()
    with signed_in(shown, "viewer") as http:
        place, token = f"/policies/{made}/try", csrf(http.get(f"/policies/{made}"))
        denied = http.post(place, data={"csrf_token": token, "payload": '{"amount": 99, "odd": false}'})
        assert denied.status_code == 200
        assert "amount-exceeds-cap" in denied.text
        for wrong in ("", "[1]", "{", '{"a": "\ud800"}'.encode("utf-8", "replace").decode() + "}", "[" * 5_000):
            refused = http.post(place, data={"csrf_token": token, "payload": wrong})
            assert refused.status_code == 422, wrong[:20]
            assert "no JSON object" in refused.text
    assert shown.running.service.desk.span() == before


def test_what_is_not_there_is_said_to_be(shown: Scene) -> None:
    with signed_in(shown, "viewer") as http:
        assert http.get("/policies/none").status_code == 404
        assert http.get("/policies?before=x").status_code == 422


def test_signing_in_leads_nowhere_else_and_says_what_was_wrong(shown: Scene) -> None:
    with httpx.Client(base_url=shown.address, trust_env=False, timeout=PATIENCE) as http:
        wrong = http.post("/sign-in", data={"name": shown.people["viewer"], "password": "guess"})
        assert wrong.status_code == 401
        assert "the name or the password is wrong" in wrong.text
        for onward in ("https://evil.example/", "//evil.example", "/\\evil.example", "evil"):
            form = {"name": shown.people["viewer"], "password": PASSWORD, "next": onward}
            assert http.post("/sign-in", data=form).headers["location"] == "/console/"
        out = http.post("/sign-out", data={"csrf_token": csrf(http.get("/"))})
        assert out.headers["location"] == "/console/sign-in"
        assert http.get("/").status_code == 303


def test_another_sites_page_can_not_sign_anybody_in(shown: Scene) -> None:
    form = {"name": shown.people["viewer"], "password": PASSWORD}
    answer = httpx.post(
        f"{shown.address}/sign-in", data=form, headers={"sec-fetch-site": "cross-site"}, trust_env=False
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_what_was_recorded_is_replayed_as_it_goes_and_as_a_page(shown: Scene) -> None:
    made = shown.new_policy()
    ids = [shown.ask(amount, shadow=True)["id"] for amount in (1, 2, 3)]
    shown.ask(95, shadow=True)
    with signed_in(shown, "viewer") as http:
        page = http.get(f"/policies/{made}/replay?window=24h")
        assert page.status_code == 200
        assert "would be the same" in page.text
        lines = http.get(f"/policies/{made}/replay", headers={"accept": "application/x-ndjson"}).text.splitlines()
        found = [json.loads(line) for line in lines]
        assert found[0]["expected"] >= found[0]["done"] >= len(ids)
        assert "would be the same" in found[-1]["html"]
        assert http.get(f"/policies/{made}/replay?window=1y").status_code == 422
