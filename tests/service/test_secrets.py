"""What must not be read anywhere: secrets, tokens and passwords, in logs and in the database."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from supervisor_guards.cli import main
from supervisor_guards.service.sessions import COOKIE
from supervisor_guards.service.tokens import first_admin_token
from tests.service.doors import PASSWORD, Browser, everything, person
from tests.service.serving import ADMIN_TOKEN, Running, body, serving

NEW = "another battery staple, and longer"
WRONG = "a wrong password that somebody typed"


def use_everything(running: Running) -> dict[str, str]:
    """Make and use each kind of secret; each of them, by what it is."""
    known = {"admin token": ADMIN_TOKEN, "password": PASSWORD, "new password": NEW, "wrong password": WRONG}
    first = first_admin_token(running.service.store)
    assert first is not None
    known["first admin token"] = first
    caller = running.integration()
    known["secret"], known["JWT"] = caller.secret, caller.token()
    who = person(running, "administrator")
    with running.admin() as admin, Browser(running) as browser, Browser(running) as program:
        known["rotated secret"] = admin.post(f"/v1/integrations/{caller.id}/rotate-secret").json()["shared_secret"]
        made = admin.post("/v1/people", json={"name": "alice", "role": "reviewer", "password": NEW}).json()
        admin.post(f"/v1/people/{made['id']}/password", json={"password": PASSWORD})
        browser.sign_in(who.name, WRONG)
        browser.sign_in(WRONG, WRONG)  # typed into the wrong field
        known["csrf token"] = browser.sign_in(who.name).json()["csrf_token"]
        known["session"] = browser.cookies[COOKIE]
        made = browser.post("/v1/tokens", json={"label": "desk"}).json()
        known["person's token"] = made["token"]
        program.headers["authorization"] = f"Bearer {made['token']}"
        program.get("/v1/people").raise_for_status()
        browser.post(f"/v1/tokens/{made['id']}/revoke").raise_for_status()
        changed = browser.post("/v1/session/password", json={"current": PASSWORD, "new": NEW}).raise_for_status()
        known["second csrf token"] = browser.headers["x-csrf-token"] = changed.json()["csrf_token"]
        known["second session"] = browser.cookies[COOKIE]
        browser.delete("/v1/session").raise_for_status()
        for headers in ({"x-admin-token": "sga_wrong"}, {"authorization": "Bearer sgr_wrong"}):
            program.get("/v1/people", headers=headers)
    known["wrong token"] = "sga_wrong"
    with caller.client(running.base_url, cookies={}) as http:
        http.headers["authorization"] = f"Bearer {known['JWT']}"
        http.post("/v1/actions/evaluate", json=body(1)).raise_for_status()
        http.post("/v1/actions/evaluate", content=b"{").json()
    return known


def test_no_secret_is_logged_or_stored(service_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "httpcore")  # the tests' own client tells what it sends
    with serving(service_url, tmp_path / "state") as running:
        known = use_everything(running)
        stored = everything(running.service)
        files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    logged = "\n".join(repr(vars(record)) + record.getMessage() for record in caplog.records)
    for text in (logged, stored, files.decode("latin-1")):
        assert [name for name, secret in known.items() if secret in text] == []


def test_no_secret_in_the_shell_but_the_ones_it_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for args, typed in (
        (["create", "alice", "--role", "reviewer", "--password-stdin"], f"{PASSWORD}\n"),
        (["password", "alice"], f"{NEW}\n{NEW}\n"),
        (["list", "--json"], None),
    ):
        told: Any = CliRunner().invoke(main, ["people", *args], typed)
        assert told.exit_code == 0
        assert not any(secret in told.output for secret in (PASSWORD, NEW, "argon2"))
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(secret.encode() in files for secret in (PASSWORD, NEW))


def test_objects_do_not_show_secrets(running: Running) -> None:
    assert ADMIN_TOKEN not in repr(running.service.config)
