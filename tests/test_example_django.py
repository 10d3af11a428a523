"""`example_apps/django_refunds`: its demo, the agent against WSGI and ASGI servers, its policy and its routes."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from example_apps.asgi_refunds.agent import SCRIPT, Agent, Answer, Task
from example_apps.django_refunds import demo
from tests.test_example_asgi import REFUSED, ROOT, WOULD_BLOCK, run

FIRST_DAY = """
UPDATE shop_order SET refunded = 0;
DELETE FROM shop_email;
INSERT OR IGNORE INTO shop_account VALUES ('ann'), ('bo'), ('eve');
"""


class Shop:
    """The project on a server, everything enforced."""

    def __init__(self, folder: Path, agent: Agent) -> None:
        self.folder = folder
        self.agent = agent

    def column(self, query: str) -> list[Any]:
        """What the project's database holds."""
        with closing(sqlite3.connect(self.folder / "shop.sqlite3")) as database:
            return [row[0] for row in database.execute(query)]

    def refunded(self, order_id: str) -> float:
        (found,) = self.column(f"SELECT refunded FROM shop_order WHERE order_id = '{order_id}'")
        return float(found)

    def approve(self, answer: Answer) -> None:
        demo.manage(self.folder, "supervisor_guards", "approve", answer.action_id, "--as", "dana")


@pytest.fixture(scope="module", params=demo.SERVERS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a server of each kind."""
    folder = tmp_path_factory.mktemp(request.param)
    with demo.serving(request.param, folder, "enforce") as address:
        yield folder, address


@pytest.fixture
def shop(place: tuple[Path, str]) -> Iterator[Shop]:
    folder, address = place
    with closing(sqlite3.connect(folder / "shop.sqlite3")) as database:
        database.executescript(FIRST_DAY)
    with Agent(address) as agent:
        yield Shop(folder, agent)


def test_demo_tells_the_whole_story(tmp_path: Path) -> None:
    """With half-done settings around it; a second run, on the other kind of server, tells the same."""
    module = "example_apps.django_refunds.demo"
    settings = {"SUPERVISOR_ENFORCEMENT_MODE": "enforcd", "DJANGO_SETTINGS_MODULE": "nowhere.settings"}
    for words in ((module,), (module, "uvicorn")):
        output = run(tmp_path, *words, **settings)
        rows = [re.split(r"\s{2,}", line.strip()) for line in output.splitlines() if "  would " in line]
        assert {(cells[0], cells[2], cells[4]) for cells in rows} == WOULD_BLOCK
        assert f"An agent sent {len(SCRIPT)} requests to a Django project in shadow: every one was served." in output
        assert "9 calls, all ran. Enforce would have let 4 pass, denied 2 and sent 3 to a reviewer." in output
        assert "sk_live_[redacted]" in output
        assert re.findall(r"^  403  (\w+ \S+)  (\S+) \(\w+\)$", output, re.MULTILINE) == REFUSED
        again = re.findall(r"^  (\d+)  POST /orders/A-1002/refunds  Supervisor-Approval: ", output, re.MULTILINE)
        assert again == ["200", "409"]
    assert [path.name for path in tmp_path.iterdir()] == [demo.FOLDER]


def test_refusals_are_problems_and_nothing_was_done(shop: Shop) -> None:
    answers = list(shop.agent.run())
    assert [(f"{one.task.method} {one.task.path}", one.problem) for one in answers if one.problem] == REFUSED
    assert all(one.status == 403 and one.action_id for one in answers if one.problem)
    assert shop.refunded("A-1002") == shop.refunded("A-1003") == 0
    assert shop.column("SELECT name FROM shop_account ORDER BY name") == ["ann", "bo", "eve"]
    assert shop.column("SELECT subject FROM shop_email ORDER BY id") == ["Your refund", "Your parcel"]


def test_the_policy_judges_the_amount_that_the_view_uses(shop: Shop) -> None:
    """Sent as a text, it is a number; what can't be one is refused before the view."""
    path = "/orders/A-1001/refunds"
    assert shop.agent.send(Task("", "POST", path, {"amount": "42000"})).problem == "denied"
    assert shop.agent.send(Task("", "POST", path, {"amount": "a lot"})).problem == "payload-unusable"
    assert shop.agent.send(Task("", "POST", path, {"amount": -1})).content["amount"]  # REST framework's own 400
    assert shop.agent.send(Task("", "POST", path, {"amount": "12.50"})).status == 200
    assert shop.refunded("A-1001") == 12.5


def test_an_approved_request_is_sent_again_and_runs_once(shop: Shop) -> None:
    agent = shop.agent
    task = Task("The sofa never arrived", "POST", "/orders/A-1002/refunds", {"amount": 1900})
    held = agent.send(task)
    assert (held.problem, agent.review(held)) == ("approval-required", "pending")
    assert agent.send(task, approval=held.action_id).problem == "approval-required"
    shop.approve(held)
    assert agent.review(held) == "approved"
    more = Task("", "POST", "/orders/A-1002/refunds", {"amount": 9000})
    assert agent.send(more, approval=held.action_id).problem == "approval-invalid"
    assert agent.send(task, approval=held.action_id).status == 200
    used = agent.send(task, approval=held.action_id)
    assert (used.status, used.problem) == (409, "approval-used")
    assert shop.refunded("A-1002") == 1900


def test_an_approval_is_for_the_one_who_asked(shop: Shop) -> None:
    task = Task("Please close my account", "DELETE", "/accounts/eve")
    held = shop.agent.send(task)
    shop.approve(held)
    with httpx.Client(base_url=shop.agent.base_url, trust_env=False, timeout=10) as stranger:
        answer = stranger.delete("/accounts/eve", headers={"Supervisor-Approval": held.action_id})
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith("/approval-invalid")
        assert stranger.get(held.content["review_url"]).status_code == 404
    assert "eve" in shop.column("SELECT name FROM shop_account")
    assert shop.agent.send(task, approval=held.action_id).status == 200
    assert "eve" not in shop.column("SELECT name FROM shop_account")


def test_the_admin_and_the_unguarded_views_are_as_ever(shop: Shop) -> None:
    with httpx.Client(base_url=shop.agent.base_url, trust_env=False, timeout=10) as browser:
        page = browser.get("/admin/login/")
        assert page.status_code == 200
        assert "csrfmiddlewaretoken" in page.text
        assert browser.post("/admin/login/", data={"username": "x"}).status_code == 403  # without its token
        assert browser.get("/orders/A-9999").status_code == 404


def test_its_risky_routes_are_guarded_and_its_policy_is_right(tmp_path: Path) -> None:
    listed = demo.manage(tmp_path, "supervisor_guards", "routes", "--json")
    rows = [json.loads(line) for line in listed.splitlines()]
    assert {row["route"]: row["note"] for row in rows if row["state"] == "guarded"} == {
        "/orders/<str:order_id>/refunds": "refund",
        "/emails": "email_send",
        "/accounts/<str:account>": "account_deletion",
    }
    assert "0 silenced" in demo.manage(tmp_path, "check", "--fail-level", "WARNING")
    assert "No changes detected" in demo.manage(tmp_path, "makemigrations", "--check")
    tested = run(ROOT, "supervisor_guards.cli", "policy", "test", str(demo.POLICY))
    assert "0 failed" in tested
