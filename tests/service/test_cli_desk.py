"""`supervisor-guards reviews` and `decisions` where a service keeps the record, and the same under Flask."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from supervisor_guards.cli import main
from supervisor_guards_flask import SupervisorGuards
from tests.service.serving import ADMIN_TOKEN, PATIENCE, Caller, Running, body, new_name
from tests.service.test_remote_desk import token_of


def settings(running: Running, shop: Caller, token: str | None) -> dict[str, str]:
    found = {
        "SUPERVISOR_BASE_URL": running.base_url, "SUPERVISOR_APP_ID": shop.id, "SUPERVISOR_SECRET": shop.secret,
        "SUPERVISOR_EVALUATE_TIMEOUT_SECONDS": str(PATIENCE), "COLUMNS": "200", "LOGNAME": "dora",
    }  # fmt: skip
    return found if token is None else {**found, "SUPERVISOR_REVIEWER_TOKEN": token}


def run(running: Running, shop: Caller, *words: str, token: str | None = None) -> Result:
    return CliRunner(env=settings(running, shop, token)).invoke(main, list(words))


@pytest.fixture
def waiting(running: Running, shop: Caller) -> list[str]:
    """Ids of two refunds that wait."""
    ids = [new_name("waiting-refund") for _ in range(2)]
    with shop.client(running.base_url) as http:
        for action_id in ids:
            http.post("/v1/actions/evaluate", json={**body(60, number=action_id), "id": action_id}).raise_for_status()
    return ids


def test_reviews_are_listed_shown_and_decided(running: Running, shop: Caller, waiting: list[str]) -> None:
    name, token = token_of(running)
    listed = run(running, shop, "reviews", "list", "--json")
    assert [json.loads(line)["action_id"] for line in listed.stdout.splitlines()] == waiting
    more = run(running, shop, "reviews", "list", "--limit", "1")
    assert (waiting[0] in more.stdout, "1 more" in more.stdout) == (True, True)
    shown = run(running, shop, "reviews", "show", waiting[0])
    assert ("amount-needs-a-look" in shown.stdout, "look: review" in shown.stdout) == (True, True)
    approved = run(running, shop, "reviews", "approve", waiting[0], "--notes", "fine", token=token)
    assert approved.stdout.startswith(f"approved by {name}: refund"), approved.stderr
    rejected = run(running, shop, "reviews", "reject", waiting[1], "--as", "eve", token=ADMIN_TOKEN)
    assert "rejected by admin token, claiming eve (command line of dora)" in rejected.stdout
    late = run(running, shop, "reviews", "abandon", waiting[1], token=token)
    assert (late.exit_code, "already rejected" in late.stderr) == (1, True)
    ended = run(running, shop, "reviews", "list", "--status", "all", "--json")
    assert [json.loads(line)["status"] for line in ended.stdout.splitlines()] == ["approved", "rejected"]


def test_an_id_may_be_cut_short(running: Running, shop: Caller, waiting: list[str]) -> None:
    with shop.client(running.base_url) as http:
        action_id = f"{new_name('one')}-that-is-long"
        http.post("/v1/actions/evaluate", json={**body(60, number=action_id), "id": action_id}).raise_for_status()
    assert f"id:         {action_id}" in run(running, shop, "reviews", "show", action_id[:-5]).stdout
    unclear = run(running, shop, "reviews", "show", "waiting-refund")
    assert all(one in unclear.stderr for one in waiting)


def test_without_a_reviewers_token_nothing_is_decided(running: Running, shop: Caller, waiting: list[str]) -> None:
    refused = run(running, shop, "reviews", "approve", waiting[0])
    assert (refused.exit_code, "SUPERVISOR_REVIEWER_TOKEN" in refused.stderr) == (1, True)
    assert running.service.store.case(waiting[0]).status == "pending"


def test_decisions_are_listed(running: Running, shop: Caller, waiting: list[str]) -> None:
    def ids(*words: str) -> list[Any]:
        lines = run(running, shop, "decisions", "--json", *words).stdout.splitlines()
        return [json.loads(line)["action_id"] for line in lines]

    assert ids() == waiting[::-1]
    assert ids("--limit", "1") == waiting[1:]
    assert ids("--outcome", "review", "--action", "refund") == waiting[::-1]
    assert ids("--outcome", "allow") == []
    assert waiting[0] in run(running, shop, "decisions").stdout


def test_flasks_commands_ask_the_service_too(running: Running, shop: Caller, waiting: list[str]) -> None:
    name, token = token_of(running)
    app = Flask("shop")
    app.config["SUPERVISOR_GUARDS"] = {
        "MODE": "enforce", "BASE_URL": running.base_url, "APP_ID": shop.id, "SHARED_SECRET": shop.secret,
        "EVALUATE_TIMEOUT_SECONDS": PATIENCE, "REVIEWER_TOKEN": token,
    }  # fmt: skip
    SupervisorGuards(app)
    runner = app.test_cli_runner()

    def told(*words: str) -> str:
        return runner.invoke(args=["supervisor-guards", *words]).output

    listing = told("reviews")
    assert all(one in listing for one in waiting), listing
    assert f"approved by {name}" in told("approve", waiting[0])
    assert f"rejected by {name}" in told("reject", waiting[1], "--notes", "no")
    assert all(one in told("decisions") for one in waiting)
