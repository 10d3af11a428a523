"""Policies over the API: stored, read, tried, compared, put in force and taken out of it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from supervisor_guards.policy.document import load_policies, read_policies
from tests.service.policies import decision, document, new_action, stored
from tests.service.serving import Running


def test_a_version_is_stored_put_in_force_and_taken_out_of_it(admin: httpx.Client, http: httpx.Client) -> None:
    action = new_action()
    made = stored(admin, document(action))
    assert (made["policy_version"], made["action_type"], made["active"]) == (f"{action}.base@v1", action, False)
    assert (made["created_by"], made["promoted_at"], made["retired_at"]) == ("admin token", None, None)
    assert decision(http, action, 1)["reasons"] == ["no-policy"]

    promoted = admin.post(f"/v1/policies/{made['id']}/promote").json()
    assert (promoted["active"], promoted["retired"], promoted["uncovered"]) == (True, [], [])
    assert decision(http, action, 1)["policy_version"] == f"{action}.base@v1"
    assert decision(http, action, 101)["reasons"] == ["amount-exceeds-cap"]

    ended = admin.post(f"/v1/policies/{made['id']}/deactivate").json()
    assert (ended["active"], ended["uncovered"]) == (False, [action])
    assert ended["retired_at"] > promoted["promoted_at"]
    assert decision(http, action, 1)["reasons"] == ["no-policy"]
    assert admin.post(f"/v1/policies/{made['id']}/promote").json()["retired_at"] is None
    assert decision(http, action, 1)["decision"] == "allow"


def test_repeating_an_act_changes_nothing(admin: httpx.Client) -> None:
    action = new_action()
    made = stored(admin, document(action), promote=True)
    assert stored(admin, document(action), promote=True, status=200) == made
    again = admin.post(f"/v1/policies/{made['id']}/promote").json()
    assert again["promoted_at"] == made["promoted_at"]
    ended = [admin.post(f"/v1/policies/{made['id']}/deactivate").json() for _ in range(2)]
    assert ended[0]["retired_at"] == ended[1]["retired_at"]


def test_promoting_retires_every_version_that_shares_an_action_type(admin: httpx.Client, http: httpx.Client) -> None:
    refund, payment, transfer = (new_action() for _ in range(3))
    both = stored(admin, document(f"[{refund}, {payment}]", name=refund), promote=True)
    third = stored(admin, document(transfer), promote=True)
    taking = stored(admin, document(f"[{payment}, {transfer}]", name=payment, cap=5), promote=True)
    assert sorted(taking["retired"]) == sorted([both["policy_version"], third["policy_version"]])
    assert taking["uncovered"] == [refund]
    assert decision(http, refund, 1)["reasons"] == ["no-policy"]
    assert [decision(http, name, 6)["policy_version"] for name in (payment, transfer)] == [taking["policy_version"]] * 2
    assert [admin.get(f"/v1/policies/{one['id']}").json()["active"] for one in (both, third)] == [False, False]


def test_a_version_never_changes(admin: httpx.Client) -> None:
    action = new_action()
    stored(admin, document(action))
    refused = admin.post("/v1/policies", json={"yaml_source": document(action, cap=7)})
    assert refused.status_code == 409
    assert f"{action}.base@v1 is stored already, with other text" in refused.json()["detail"]
    assert "raise the version" in refused.json()["detail"]
    assert [one["version"] for one in admin.get(f"/v1/policies?action_type={action}").json()] == ["1"]


def test_the_text_is_kept_exactly(admin: httpx.Client) -> None:
    source = document(new_action(), "1.10", more="# Caf\u00e9,\r\n# and the end  \n\n")
    made = stored(admin, source)
    told = admin.get(f"/v1/policies/{made['id']}").json()
    assert told["yaml_source"] == source
    assert (told["version"], told["hash"]) == ("1.10", read_policies(source)[0].hash)
    assert told["rules"] == [
        {
            "id": "cap", "when": "payload['amount'] > 100", "action": "deny", "reason": "amount-exceeds-cap",
            "explanation": "Over the cap.",
        }
    ]  # fmt: skip
    assert (told["default"], told["tests"], told["failures"]) == ("allow", 0, [])


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("name: [", 1, "not valid YAML"),
        ("", None, "holds no policy"),
        ("name: a\nversion: 1\nrules:\n  - {id: x, when: payload.a >, action: deny}\n", 4, "rule 'x': `when`"),
        ("name: a\nversion: 1\nrules:\n  - {id: x, when: payload.a > 1, action: dney}\n", 4, "did you mean 'deny'?"),
        ("name: a\nname: b\nversion: 1\nrules:\n  - {id: x, when: payload.a, action: deny}\n", 2, "stands twice"),
        ('name: "\\ud800"\nversion: 1\nrules:\n  - {id: x, when: payload.a, action: deny}\n', 1, "a lone surrogate"),
        (document("a") + "---\n" + document("b"), 13, "this text holds 2"),
        (document("a", name="n" * 201), None, "the name 'nnnn"),
        (document("a", version=f"'{'1' * 201}'"), None, "the version '1111"),
        (document("'a\\tb'".replace("'", '"'), name="a"), None, "its action types can't be stored"),
        ('name: "a\\0"\nversion: 1\naction: a\nrules:\n  - {id: x, when: payload.a, action: deny}\n', None, "the name"),
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_used_is_refused_with_the_place(
    admin: httpx.Client, source: str, line: int | None, said: str
) -> None:
    refused = admin.post("/v1/policies", json={"yaml_source": source, "promote": True})
    assert refused.status_code == 422
    (fault,) = refused.json()["detail"]
    assert (fault["loc"], fault["line"]) == (["body", "yaml_source"], line)
    assert said in fault["msg"]


def test_every_fault_of_a_document_is_told(admin: httpx.Client) -> None:
    source = "name: a\nversion: 1\nrules:\n  - {id: x, when: open(), action: deny}\n  - {id: y, action: never}\n"
    detail = admin.post("/v1/policies", json={"yaml_source": source}).json()["detail"]
    assert [fault["line"] for fault in detail] == [4, 5, 5]


def test_the_action_type_of_version_1_has_to_be_one_that_the_document_judges(admin: httpx.Client) -> None:
    action = new_action()
    published = f"name: {action}.base\nversion: 1\nrules:\n  - {{id: x, when: \"payload['a'] > 1\", action: deny}}\n"
    refused = admin.post("/v1/policies", json={"action_type": "other", "yaml_source": published})
    taken = admin.post("/v1/policies", json={"action_type": action, "yaml_source": published, "promote": True})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "action_type"])
    assert f"the document judges {action}" in refused.json()["detail"][0]["msg"]
    assert (taken.status_code, taken.json()["action_types"], taken.json()["active"]) == (201, [action], True)


def test_a_document_whose_tests_fail_is_stored_and_not_promoted(admin: httpx.Client, http: httpx.Client) -> None:
    action = new_action()
    source = document(action, more="tests:\n  - {payload: {amount: 5}, expect: deny}\n")
    at_once = admin.post("/v1/policies", json={"yaml_source": source, "promote": True})
    assert admin.get(f"/v1/policies?action_type={action}").json() == []
    made = stored(admin, source)
    later = admin.post(f"/v1/policies/{made['id']}/promote")
    for refused in (at_once, later):
        (fault,) = refused.json()["detail"]
        assert (refused.status_code, fault["line"]) == (422, 12)
        assert "test 1: expected deny, got allow" in fault["msg"]
    assert admin.get(f"/v1/policies/{made['id']}").json()["failures"] == [later.json()["detail"][0]["msg"]]
    assert decision(http, action, 1)["reasons"] == ["no-policy"]


def test_a_payload_is_tried(admin: httpx.Client) -> None:
    action = new_action()
    more = "  - {id: night, when: request.method == 'POST' and context.night, action: review, reason: at-night}\n"
    path = f"/v1/policies/{stored(admin, document(action, more=more))['id']}/test"
    asked = {"payload": {"amount": 5}, "context": {"night": True}, "request": {"method": "POST"}}
    hit = {"rule_id": "night", "action": "review", "reason": "at-night", "explanation": "", "priority": "normal"}
    told = admin.post(path, json=asked).json()
    assert told == {
        "decision": "review", "hits": [hit], "reasons": ["at-night"], "policy_version": f"{action}.base@v1",
    }  # fmt: skip
    asked["context"] = {"night": False}
    assert admin.post(path, json=asked).json()["reasons"] == []
    assert admin.post(path, json={"payload": {}}).json()["decision"] == "deny"
    assert [admin.post(path, json=odd).status_code for odd in ({}, {"payload": 1}, [])] == [422] * 3


def test_versions_are_compared(admin: httpx.Client) -> None:
    action = new_action()
    old = stored(admin, document(action, more="  - {id: gone, when: payload.x, action: review}\n"))
    new = stored(admin, document(action, 2, cap=50, more="  - {id: fresh, when: payload.y, action: deny}\n"))
    path = f"/v1/policies/{new['id']}/diff"
    assert admin.get(path).status_code == 404
    told = admin.get(path, params={"against": old["id"]}).json()
    admin.post(f"/v1/policies/{old['id']}/promote").raise_for_status()
    assert admin.get(path).json() == told
    assert (told["from"], told["to"]) == (f"{action}.base@v1", f"{action}.base@v2")
    assert [rule["id"] for rule in told["rules"]["added"] + told["rules"]["removed"]] == ["fresh", "gone"]
    (changed,) = told["rules"]["changed"]
    assert (changed["before"]["when"], changed["after"]["when"]) == (
        "payload['amount'] > 100", "payload['amount'] > 50",
    )  # fmt: skip
    lines = told["diff"].splitlines()
    assert lines[:2] == [f"--- {action}.base@v1", f"+++ {action}.base@v2"]
    assert {"-version: 1", "+version: 2"} <= set(lines)
    assert admin.get(path, params={"against": "none"}).status_code == 404


def test_a_rule_whose_priority_alone_changed_is_a_changed_rule(admin: httpx.Client) -> None:
    action = new_action()
    look = "  - {{id: look, when: payload.amount > 10, action: review, priority: {}}}\n"
    old = stored(admin, document(action, more=look.format("low")))
    new = stored(admin, document(action, "2", more=look.format("urgent")))
    assert old["hash"] != new["hash"]
    told = admin.get(f"/v1/policies/{new['id']}/diff", params={"against": old["id"]}).json()
    (changed,) = told["rules"]["changed"]
    assert (changed["id"], changed["before"]["priority"], changed["after"]["priority"]) == ("look", "low", "urgent")


def test_versions_are_listed_in_pages(admin: httpx.Client) -> None:
    action = new_action()
    made = [stored(admin, document(action, version), promote=version == 2) for version in range(1, 6)]
    chosen = {"action_type": action, "limit": 2}
    pages = []
    answer = admin.get("/v1/policies", params=chosen)
    while answer.json():
        pages.append([one["version"] for one in answer.json()])
        if "next" not in answer.links:
            break
        answer = admin.get(answer.links["next"]["url"])
    assert pages == [["5", "4"], ["3", "2"], ["1"]]
    active = admin.get("/v1/policies", params={"action_type": action, "active": "true"}).json()
    others = admin.get("/v1/policies", params={"action_type": action, "active": "false"}).json()
    assert ([one["id"] for one in active], len(others)) == ([made[1]["id"]], 4)
    assert "yaml_source" not in active[0]
    assert admin.get("/v1/policies?limit=1000").status_code == 422
    assert admin.get("/v1/policies?before=1").status_code == 422
    assert admin.get("/v1/policies?active=maybe").status_code == 422


def test_the_bundle_has_what_is_in_force_and_says_when_nothing_changed(
    admin: httpx.Client, http: httpx.Client, running: Running
) -> None:
    action = new_action()
    made = stored(admin, document(action), promote=True)
    stored(admin, document(new_action()))
    first = http.get("/v1/policies/bundle")
    held = {one["id"]: one for one in first.json()["policies"]}
    assert held[made["id"]]["yaml_source"] == document(action)
    assert all(one["active"] for one in held.values())
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        same = http.get("/v1/policies/bundle", headers={"if-none-match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    admin.post(f"/v1/policies/{made['id']}/deactivate").raise_for_status()
    changed = http.get("/v1/policies/bundle", headers={"if-none-match": first.headers["etag"]})
    assert (changed.status_code, made["id"] in changed.text) == (200, False)
    assert "bundle" in http.get("/v1/capabilities").json()["capabilities"]
    narrow = running.integration(scopes=["nothing"])
    with narrow.client(running.base_url) as scoped:
        assert scoped.get("/v1/policies/bundle").json() == {"policies": []}


ENDPOINTS = [
    ("POST", ""), ("GET", ""), ("GET", "/x"), ("POST", "/x/promote"), ("POST", "/x/deactivate"), ("POST", "/x/test"),
    ("GET", "/x/diff"), ("GET", "/x/replay"), ("POST", "/x/replay"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_integrations_and_strangers_do_not_reach_policies(
    running: Running, http: httpx.Client, method: str, path: str
) -> None:
    assert http.request(method, f"/v1/policies{path}").status_code == 403
    assert httpx.request(method, f"{running.base_url}/v1/policies{path}", trust_env=False).status_code == 401


@pytest.mark.parametrize(("method", "path"), ENDPOINTS[2:])
@pytest.mark.parametrize("odd", ["x", "%ff%fe", "x" * 2_000])
def test_an_unknown_version_is_not_found(admin: httpx.Client, method: str, path: str, odd: str) -> None:
    body: dict[str, Any] = {"json": {"payload": {}}} if path.endswith("test") else {}
    answer = admin.request(method, f"/v1/policies{path.replace('/x', '/' + odd)}", **body)
    assert (answer.status_code, answer.json()) == (404, {"detail": "policy not found"})


def test_acts_are_in_the_record(running: Running, admin: httpx.Client) -> None:
    from sqlalchemy import select

    from supervisor_guards.embedded.schema import events

    action = new_action()
    first = stored(admin, document(action), promote=True)
    stored(admin, document(action, 2), promote=True)
    admin.post(f"/v1/policies/{first['id']}/promote")
    admin.post(f"/v1/policies/{first['id']}/deactivate")
    with running.service.store.reading() as held:
        query = select(events.c.actor, events.c.notes).where(events.c.action_id == f"policy:{action}.base@v1")
        found = held.execute(query.order_by(events.c.id)).all()
    assert {actor for actor, _ in found} == {"admin token"}
    assert [notes for _, notes in found] == [
        f"stored; its text has the SHA-256 {first['hash']}",
        "promoted, in the place of none",
        f"promoted, in the place of {action}.base@v2",
        "taken out of force",
    ]


def test_each_document_of_a_text_is_a_text_of_its_own(tmp_path: Any) -> None:
    """Stored one by one, they are the documents that the file held: their hashes are those that records name."""
    text = (
        "# Top.\n"
        + document("a")
        + "# End of a.\n---  \n"
        + document("b")
        + "...\n---\n# nothing\n--- \n"
        + document("c")
    )
    path = tmp_path / "p.yaml"
    path.write_text(text)
    found = load_policies(path).policies
    assert [one.source.splitlines()[0] for one in found] == ["# Top.", "# Limits of b.", "# Limits of c."]
    assert [one.hash for one in found] == [read_policies(one.source)[0].hash for one in found]
    assert found[0].source.endswith("# End of a.\n")
    assert json.dumps([one.actions for one in found]) == '[["a"], ["b"], ["c"]]'
