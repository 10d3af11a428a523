"""`example_apps/flask_refunds`: the demo on each of gunicorn's workers, and CI's look at the routes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from flask import Flask

from example_apps.flask_refunds.agent import SCRIPT
from example_apps.flask_refunds.app import create_app, guards
from example_apps.flask_refunds.demo import POLICY, WORKERS
from example_apps.flask_refunds.shop import Shop

ROOT = Path(__file__).parent.parent
REFUSED = [
    ("POST /orders/A-1002/refunds", "approval-required"),
    ("POST /orders/A-1003/refunds", "denied"),
    ("POST /emails", "denied"),
    ("POST /emails", "approval-required"),
    ("DELETE /accounts/eve", "approval-required"),
]
AGENT = {"Authorization": "Bearer token-of-the-support-agent"}


def run(folder: Path, *command: str, **environment: str) -> str:
    """Standard output of a command of this interpreter's environment; nothing may be on standard error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SUPERVISOR_", "FLASK_"))}
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "integrations")))
    done = subprocess.run(
        [sys.executable, "-m", *command],
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


@pytest.mark.parametrize("worker", WORKERS)
def test_the_demo_tells_the_whole_story(worker: str, tmp_path: Path) -> None:
    output = run(tmp_path, "example_apps.flask_refunds.demo", worker)
    assert f"An agent sent {len(SCRIPT)} requests to a shop in shadow: every one was served." in output
    assert "9 calls, all ran. Enforce would have let 4 pass, denied 2 and sent 3 to a reviewer." in output
    assert re.findall(r"^  403  (\w+ \S+)  (\S+) \(\w+\)$", output, re.MULTILINE) == REFUSED
    again = re.findall(r"^  (\d+)  POST /orders/A-1002/refunds  Supervisor-Approval: ", output, re.MULTILINE)
    assert again == ["200", "409"]
    log = run(tmp_path, "supervisor_guards.cli", "decisions", "--json", SUPERVISOR_STATE_DIR=".supervisor-demo")
    routes = {json.loads(line)["route"] for line in log.splitlines()}
    assert routes == {"POST /orders/<order_id>/refunds", "POST /emails", "DELETE /accounts/<account>"}


@pytest.fixture
def enforced(tmp_path: Path) -> Iterator[tuple[Flask, Shop]]:
    """The service, everything enforced."""
    shop = Shop()
    app = create_app(shop, MODE="enforce", POLICY=str(POLICY), STATE_DIR=str(tmp_path))
    yield app, shop
    guards.close(app)


def test_the_policy_judges_the_amount_that_is_paid(enforced: tuple[Flask, Shop]) -> None:
    """Sent as a text, it is the same number; what is no number is refused, before the view says so too."""
    app, shop = enforced
    for amount, status in (("42000", 403), (42000, 403), ("a lot", 400), (-1, 422), ("12.50", 200), ("NaN", 400)):
        answer = app.test_client().post("/orders/A-1001/refunds", json={"amount": amount}, headers=AGENT)
        assert answer.status_code == status, (amount, answer.text)
    assert shop.order("A-1001").refunded == Decimal("12.50")
    assert app.test_client().get("/orders/none").status_code == 404


def test_every_risky_route_is_guarded(tmp_path: Path) -> None:
    target = "example_apps.flask_refunds.app:create_app()"
    found = json.loads(run(ROOT, "supervisor_guards.cli", "routes", target, "--strict", "--json"))
    guarded = {one["path"]: [guard["action"] for guard in one["guards"]] for one in found["routes"] if one["guards"]}
    assert guarded == {
        "/orders/<order_id>/refunds": ["refund"],
        "/emails": ["email_send"],
        "/accounts/<account>": ["account_deletion"],
    }
