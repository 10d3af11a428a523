"""`flask supervisor-guards`, and `supervisor-guards routes` on a Flask application."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integrations import contract

ROOT = Path(__file__).parents[2]
FACTORY = """
from flask import Flask
from supervisor_guards_flask import SupervisorGuards

def create_app():
    app = Flask(__name__)
    app.config["SUPERVISOR_GUARDS"] = {
        "MODE": "enforce", "POLICY": "supervisor.yaml", "STATE_DIR": "state",
        "RULES": [
            {"route": "POST /refunds/<order_id>", "action": "refund", "payload": ["body.amount", "path.order_id"]},
        ],
    }
    app.config.from_prefixed_env()
    SupervisorGuards(app)
    app.add_url_rule("/refunds/<order_id>", "refund", lambda order_id: "ran", methods=["POST"])
    app.add_url_rule("/open", "open", lambda: "ran", methods=["POST"])
    return app
"""
REQUEST = """
from shop import create_app
client = create_app().test_client()
for amount in (1, 2000, 2000000):
    answer = client.post("/refunds/o-1", json={"amount": amount})
    answer.close()
    if amount == 2000:
        print(answer.json["instance"].rpartition(":")[2])
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(FACTORY)
    (tmp_path / "supervisor.yaml").write_text(contract.POLICY)
    return tmp_path


def run(folder: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command of this environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SUPERVISOR_", "FLASK_"))}
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "integrations", folder)))
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env={**clean, "PYTHONPATH": paths, "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def flask(folder: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    return run(folder, "-m", "flask", "--app", "shop", "supervisor-guards", *words, **environment)


def test_routes_of_an_application_factory(shop: Path) -> None:
    code, out, _ = flask(shop, "routes", "--json")
    found = {(row["path"], row["state"]) for row in json.loads(out)["routes"]}
    assert code == 0
    assert {("/refunds/<order_id>", "guarded"), ("/open", "UNGUARDED")} <= found
    code, out, err = flask(shop, "routes", "--strict")
    assert code == 1
    assert "POST /open is unguarded" in err
    assert "refund" in out


def test_the_engines_own_command_reads_flask_applications(shop: Path) -> None:
    code, out, _ = run(shop, "-m", "supervisor_guards.cli", "routes", "shop:create_app()", "--json")
    rows: list[dict[str, Any]] = json.loads(out)["routes"]
    assert code == 0
    assert {"action": "refund", "mode": "enforce", "by": "rule"} in [one for row in rows for one in row["guards"]]


def test_a_typo_in_a_rule_is_a_fault_for_routes_and_check(shop: Path) -> None:
    rules = json.dumps([{"route": "POST /refund/<order_id>", "action": "refund"}])
    for command in ("routes", "check"):
        code, _, err = flask(shop, command, FLASK_SUPERVISOR_GUARDS__RULES=rules)
        assert code == 1
        assert "rule 'POST /refund/<order_id>' ('refund') matches no route" in err


def test_check_tells_what_is_wrong_and_in_which_order_hooks_are_called(shop: Path) -> None:
    code, out, err = flask(shop, "check")
    assert (code, err.startswith("warning: 1 routes that may change something")) == (0, True)
    assert "before_request, in this order: supervisor_guards_ask" in out
    code, out, _ = flask(shop, "check", "--strict", "--json")
    assert (code, json.loads(out)["ok"]) == (1, False)
    (shop / "supervisor.yaml").write_text("name: x\nversion: 1\naction: refund\nrules: []\n")
    code, _, err = flask(shop, "check")
    assert code == 1
    assert "problem: " in err


def test_reviews_and_decisions_of_the_application(shop: Path) -> None:
    """With its settings, from whichever place it takes them."""
    code, out, err = run(shop, "-c", REQUEST)
    assert code == 0, err
    action_id = out.strip()
    code, out, _ = flask(shop, "reviews", "--json")
    assert code == 0
    assert action_id in out
    code, out, err = flask(shop, "approve", action_id, "--as", "dana")
    assert code == 0, err
    code, _, _ = flask(shop, "reject", action_id, "--as", "dana")
    assert code != 0
    code, out, _ = flask(shop, "decisions", "--json")
    assert {json.loads(line)["outcome"] for line in out.splitlines()} == {"allow", "review", "deny"}
    assert flask(shop, "doctor")[0] == 0
    assert flask(shop, "purge", "--help")[0] == 0
    assert flask(shop, "decisions", "--wrong")[0] == 2


def test_an_application_without_the_extension_has_no_such_command(shop: Path) -> None:
    (shop / "shop.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    code, _, err = flask(shop, "routes")
    assert code == 2
    assert "No such command 'supervisor-guards'" in err
