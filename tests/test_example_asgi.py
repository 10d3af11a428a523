"""`example_apps/asgi_refunds`: the demo as a newcomer runs it, the agent against uvicorn, CI's look at the routes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from example_apps.asgi_refunds import demo
from example_apps.asgi_refunds.agent import SCRIPT, Agent, Answer, Task
from example_apps.asgi_refunds.shop import Shop
from supervisor_guards import get_guard
from supervisor_guards.embedded.desk import Principal, ReviewDesk

ROOT = Path(__file__).parent.parent
WOULD_BLOCK = {
    ("refund", "would review", "large-refund"),
    ("refund", "would deny", "amount-exceeds-hard-cap"),
    ("email_send", "would deny", "secret-in-email"),
    ("email_send", "would review", "many-recipients"),
    ("account_deletion", "would review", "account-deletion"),
}
REFUSED = [
    ("POST /orders/A-1002/refunds", "approval-required"),
    ("POST /orders/A-1003/refunds", "denied"),
    ("POST /emails", "denied"),
    ("POST /emails", "approval-required"),
    ("DELETE /accounts/eve", "approval-required"),
]


def run(folder: Path, *command: str, **environment: str) -> str:
    """Standard output of a command of this interpreter's environment; nothing may be on standard error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "integrations")))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *command],
        cwd=folder,
        env={**clean, "PYTHONPATH": paths, "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def enforced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Agent, Shop]]:
    """The service on uvicorn, everything enforced."""
    monkeypatch.chdir(tmp_path)
    shop = Shop()
    with demo.guarded(tmp_path / "state", "enforce"), demo.serving(shop) as address, Agent(address) as agent:
        yield agent, shop


def approve(answer: Answer) -> None:
    """What a person does in another process, here beside it."""
    supervisor = get_guard().supervisor
    ReviewDesk(supervisor.store).resolve(answer.action_id, "approved", None, Principal("dana"))  # type: ignore[attr-defined]


def test_demo_tells_the_whole_story(tmp_path: Path) -> None:
    """A second run, with half-done settings around it, tells the same."""
    module = "example_apps.asgi_refunds.demo"
    for settings in ({}, {"SUPERVISOR_ENFORCEMENT_MODE": "enforcd", "SUPERVISOR_POLICY": "nowhere.yaml"}):
        output = run(tmp_path, module, **settings)
        rows = [re.split(r"\s{2,}", line.strip()) for line in output.splitlines() if "  would " in line]
        assert {(cells[0], cells[2], cells[4]) for cells in rows} == WOULD_BLOCK
        assert f"An agent sent {len(SCRIPT)} requests to a shop in shadow: every one was served." in output
        assert "9 calls, all ran. Enforce would have let 4 pass, denied 2 and sent 3 to a reviewer." in output
        assert "sk_live_[redacted]" in output
        refused = re.findall(r"^  403  (\w+ \S+)  (\S+) \(\w+\)$", output, re.MULTILINE)
        assert refused == REFUSED
        (problem,) = re.findall(r"problem\+json; the first one: (.*)$", output, re.MULTILINE)
        assert json.loads(problem)["action"] == "refund"
        again = re.findall(r"^  (\d+)  POST /orders/A-1002/refunds  Supervisor-Approval: ", output, re.MULTILINE)
        assert again == ["200", "409"]
        assert "refunded {'A-1001': 40, 'A-1002': 1900, 'A-1004': 65}, sent 2 e-mails, and kept 3 accounts" in output
    assert [path.name for path in tmp_path.iterdir()] == [".supervisor-demo"]
    log = run(tmp_path, "supervisor_guards.cli", "decisions", "--json", SUPERVISOR_STATE_DIR=".supervisor-demo")
    routes = {json.loads(line)["route"] for line in log.splitlines()}
    assert routes == {"POST /orders/{order_id}/refunds", "POST /emails", "DELETE /accounts/{account}"}


def test_refusals_are_problems_and_nothing_was_done(enforced: tuple[Agent, Shop]) -> None:
    agent, shop = enforced
    answers = list(agent.run())
    refused = [(f"{one.task.method} {one.task.path}", one.problem) for one in answers if one.problem]
    assert refused == REFUSED
    assert all(one.status == 403 and one.action_id for one in answers if one.problem)
    assert shop.order("A-1002").refunded == shop.order("A-1003").refunded == 0
    assert shop.accounts == {"ann", "bo", "eve"}
    assert [email.subject for email in shop.outbox] == ["Your refund", "Your parcel"]


def test_the_policy_judges_the_validated_amount(enforced: tuple[Agent, Shop]) -> None:
    """Sent as a text, it is the number that the shop would pay; what FastAPI refuses is no decision."""
    agent, shop = enforced
    assert agent.send(Task("", "POST", "/orders/A-1001/refunds", {"amount": "42000"})).problem == "denied"
    assert agent.send(Task("", "POST", "/orders/A-1001/refunds", {"amount": -1})).status == 422
    assert agent.send(Task("", "POST", "/orders/A-1001/refunds", {"amount": "12.50"})).status == 200
    assert shop.order("A-1001").refunded == Decimal("12.50")


def test_an_approved_request_is_sent_again_and_runs_once(enforced: tuple[Agent, Shop]) -> None:
    agent, shop = enforced
    task = Task("The sofa never arrived", "POST", "/orders/A-1002/refunds", {"amount": 1900})
    held = agent.send(task)
    assert (held.problem, agent.review(held)) == ("approval-required", "pending")
    assert agent.send(task, approval=held.action_id).problem == "approval-required"
    approve(held)
    assert agent.review(held) == "approved"
    more = Task("", "POST", "/orders/A-1002/refunds", {"amount": 9000})
    assert agent.send(more, approval=held.action_id).problem == "approval-invalid"
    assert agent.send(task, approval=held.action_id).status == 200
    used = agent.send(task, approval=held.action_id)
    assert (used.status, used.problem) == (409, "approval-used")
    assert shop.order("A-1002").refunded == 1900


def test_an_approval_is_for_the_one_who_asked(enforced: tuple[Agent, Shop]) -> None:
    agent, shop = enforced
    task = Task("Please close my account", "DELETE", "/accounts/eve")
    held = agent.send(task)
    approve(held)
    with httpx.Client(base_url=agent.base_url, trust_env=False) as stranger:
        answer = stranger.delete("/accounts/eve", headers={"Supervisor-Approval": held.action_id})
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith("/approval-invalid")
        assert stranger.get(held.content["review_url"]).status_code == 404
    assert "eve" in shop.accounts
    assert agent.send(task, approval=held.action_id).status == 200
    assert "eve" not in shop.accounts


def test_every_risky_route_is_guarded() -> None:
    target = "example_apps.asgi_refunds.app:app"
    found = json.loads(run(ROOT, "supervisor_guards.cli", "routes", target, "--strict", "--json"))
    guards = {one["path"]: [guard["action"] for guard in one["guards"]] for one in found["routes"] if one["guards"]}
    assert guards == {
        "/orders/{order_id}/refunds": ["refund"],
        "/emails": ["email_send"],
        "/accounts/{account}": ["account_deletion"],
    }
