"""Accounts: made, changed and shut out by administrators, over the API and in the shell; each act is in the record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from supervisor_guards.cli import main
from supervisor_guards.service.people import LastAdministrator
from tests.service.doors import PASSWORD, Browser, acts, person
from tests.service.serving import Running, new_name, serving


def test_an_account_and_what_becomes_of_it(running: Running, admin: httpx.Client) -> None:
    name = new_name("Zoë Reviewer")
    made = admin.post("/v1/people", json={"name": name, "role": "reviewer", "password": PASSWORD, "known_as": ["z"]})
    assert made.status_code == 201
    item = made.json()
    path = f"/v1/people/{item['id']}"
    assert {key: item[key] for key in ("name", "role", "known_as", "has_password", "active", "created_by")} == {
        "name": name, "role": "reviewer", "known_as": ["z"], "has_password": True, "active": True,
        "created_by": "admin token",
    }  # fmt: skip
    assert PASSWORD not in made.text
    assert "argon2" not in made.text
    assert item in admin.get("/v1/people").json()
    assert admin.patch(path, json={"role": "viewer"}).json()["role"] == "viewer"
    assert admin.patch(path, json={"known_as": []}).json()["known_as"] == []
    assert admin.post(f"{path}/password", json={"password": None}).json()["has_password"] is False
    assert admin.post(f"{path}/disable").json()["active"] is False
    assert admin.post(f"{path}/disable").json()["active"] is False
    assert admin.post(f"{path}/enable").json()["disabled_at"] is None
    assert admin.get(path).json()["role"] == "viewer"
    assert acts(running.service, f"person:{item['id']}") == [
        ("admin token", f"created '{name}' as reviewer, known as z, with a password"),
        ("admin token", "role changed from reviewer to viewer"),
        ("admin token", "known as nobody else"),
        ("admin token", "removed the password; 0 sessions ended"),
        ("admin token", "disabled; 0 sessions ended, 0 tokens revoked"),
        ("admin token", "enabled"),
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": " alice"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "Admin Token"}, "name"),
        ({"name": "\uff21dmin token, claiming bob"}, "name"),
        ({"name": "integration shop"}, "name"),
        ({"name": "command line"}, "name"),
        ({"name": "alice", "role": "root"}, "role"),
        ({"name": "alice", "role": ""}, "role"),
        ({"name": "alice", "known_as": [""]}, "known_as"),
        ({"name": "alice", "known_as": ["a"] * 51}, "known_as"),
        ({"name": "alice", "password": "short"}, "password"),
        ({"name": "alice", "password": "x" * 257}, "password"),
    ],
)
def test_what_nobody_can_be_is_refused_by_field(admin: httpx.Client, fields: dict[str, Any], field: str) -> None:
    told = admin.post("/v1/people", json=fields)
    assert told.status_code == 422
    (problem,) = told.json()["detail"]
    assert problem["loc"] == ["body", field]
    assert problem["msg"]


def test_a_change_to_no_role_is_refused_as_no_role(running: Running, admin: httpx.Client) -> None:
    path = f"/v1/people/{person(running, 'viewer').id}"
    for wrong in ("", "root"):
        told = admin.patch(path, json={"role": wrong})
        assert told.status_code == 422
        assert told.json()["detail"][0]["loc"] == ["body", "role"]
    assert admin.get(path).json()["role"] == "viewer"


def test_names_are_taken_however_they_are_written(admin: httpx.Client) -> None:
    name = new_name("straße")
    admin.post("/v1/people", json={"name": name}).raise_for_status()
    for same in (name, name.upper(), name.replace("ß", "ss"), name.replace("s", "\uff53")):
        assert admin.post("/v1/people", json={"name": same}).status_code == 409


def test_nobody_that_is_not_there_is_changed(admin: httpx.Client) -> None:
    answers = [
        admin.get("/v1/people/none"),
        admin.patch("/v1/people/none", json={"role": "viewer"}),
        admin.post("/v1/people/none/password", json={"password": None}),
        admin.post("/v1/people/none/disable"),
        admin.post("/v1/people/none/enable"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5


def test_the_last_administrator_stays(service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state") as running, running.admin() as admin:
        first, second = person(running, "administrator"), person(running, "administrator")
        assert admin.post(f"/v1/people/{first.id}/disable").status_code == 200
        for refused in (
            admin.post(f"/v1/people/{second.id}/disable"),
            admin.patch(f"/v1/people/{second.id}", json={"role": "reviewer"}),
        ):
            assert refused.status_code == 409
            assert "is the last administrator: make somebody else one first" in refused.json()["detail"]
        assert admin.post(f"/v1/people/{first.id}/enable").status_code == 200
        people = running.service.people

        def shut_out(person_id: str) -> bool:
            try:
                people.disable(person_id, "tests")
            except LastAdministrator:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(shut_out, [first.id, second.id])) == [False, True]


def test_people_make_tokens_for_programs_of_theirs(running: Running) -> None:
    who = person(running, "reviewer")
    with Browser(running) as browser, Browser(running) as program, Browser(running) as stranger:
        browser.sign_in(who.name)
        stranger.sign_in(person(running, "reviewer").name)
        made = browser.post("/v1/tokens", json={"label": "desk", "days": 30}).json()
        program.headers["authorization"] = f"Bearer {made['token']}"
        assert program.get("/v1/session").json()["person"]["via"] == "token"
        assert [item["id"] for item in browser.get("/v1/tokens").json()] == [made["id"]]
        assert made["token"] not in browser.get("/v1/tokens").text
        assert stranger.get("/v1/tokens").json() == []
        assert stranger.get(f"/v1/tokens?person_id={who.id}").status_code == 403
        assert stranger.post(f"/v1/tokens/{made['id']}/revoke").status_code == 404
        assert browser.post(f"/v1/tokens/{made['id'][:8]}/revoke").status_code == 404
        assert browser.post(f"/v1/tokens/{made['id']}/revoke").json()["revoked_at"]
        assert program.get("/v1/session").status_code == 401
        for wrong in ({"label": ""}, {"label": "a\nb"}, {"label": "t", "days": 0}, {"label": "t", "days": 1e9}):
            assert browser.post("/v1/tokens", json=wrong).status_code == 422
        over = browser.post("/v1/tokens", json={"label": "t", "days": 1e-9}).json()
        program.headers["authorization"] = f"Bearer {over['token']}"
        assert program.get("/v1/session").status_code == 401
    told = [what for _, what in acts(running.service, f"person:{who.id}")]
    assert f"made the token 'desk', {made['id']}" in told
    assert f"revoked the token 'desk', {made['id']}" in told


def test_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUPERVISOR_DATABASE_URL", raising=False)
    told = []

    def shell(*args: str, typed: str | None = None) -> int:
        result = CliRunner().invoke(main, ["people", *args, "--database", f"sqlite:///{tmp_path}/s.db"], typed)
        told.append(result.output)
        return result.exit_code

    assert shell("create", "alice", "--role", "administrator", typed=f"{PASSWORD}\n{PASSWORD}\n") == 0
    assert PASSWORD not in told[-1]
    assert shell("create", "bob", "--password-stdin", typed=f"{PASSWORD}\n") == 0
    assert shell("create", "carol", "--no-password", "--known-as", "user:3") == 0
    assert shell("create", "BOB", "--no-password") == 1
    assert "there is somebody named 'BOB' already" in told[-1]
    assert shell("create", "dave", "--password-stdin", typed="") == 1
    assert shell("create", "dave", "--password-stdin", typed="short\n") == 1
    assert shell("create", "dave", "--no-password", "--password-stdin") == 2
    assert shell("role", "bob", "reviewer") == 0
    assert shell("password", "carol", "--password-stdin", typed=f"{PASSWORD}\n") == 0
    assert shell("disable", "alice") == 1
    assert "'alice' is the last administrator" in told[-1]
    assert shell("disable", "bob") == 0
    assert shell("token", "bob", "--label", "desk") == 1
    assert shell("enable", "bob") == 0
    assert shell("token", "bob", "--label", "desk", "--days", "30") == 0
    assert told[-1].startswith("SUPERVISOR_REVIEWER_TOKEN=sgr_")
    assert shell("disable", "nobody") == 1
    assert shell("list") == 0
    assert all(word in told[-1] for word in ("alice", "administrator", "bob", "reviewer", "user:3"))
    assert shell("list", "--json") == 0
    assert len(told[-1].splitlines()) == 3
