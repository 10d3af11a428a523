"""The published package 0.3.0 and its client, unmodified, in an environment of their own, against this service."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx

from benchmarks import published
from tests.service.serving import Caller, Running, until

CALLER = Path(__file__).parents[1] / "remote" / "published_caller.py"
EXPECTED: dict[str, Any] = {
    "allow": "ran",
    "deny": ["blocked", "deny", ["amount-exceeds-cap"]],
    "async deny": ["blocked", "deny", ["amount-exceeds-cap"]],
    "approved": "ran",
    "rejected": ["blocked", "deny", ["review-rejected-or-timed-out"]],
    "held": ["pending", ["amount-needs-a-look"]],
    "observed": "ran",
    "dry run": ["dry-run", "review", ["amount-needs-a-look"]],
    "pending": ["refund", "pending", {"amount": 52}],
    "evidence": ["refund", True, 2],
    "shadow deny": "ran",
    "shadow review": "ran",
    "ran": [1, 50, 2, 501, 54],
}


def people(running: Running, http: httpx.Client) -> None:
    """Approve the first review of the caller, and reject the second."""
    for number, decision in ((1, "approved"), (2, "rejected")):
        until(lambda number=number: len(http.get("/v1/review-cases").json()) == number)
        running.resolve(http.get("/v1/review-cases").json()[0]["id"], decision)


def test_the_published_package_works_against_this_service(running: Running, shop: Caller, http: httpx.Client) -> None:
    reviewers = threading.Thread(target=people, args=(running, http))
    reviewers.start()
    done = subprocess.run(
        [str(published.interpreter()), "-I", str(CALLER), running.base_url, shop.id, shop.secret],
        capture_output=True, text=True, timeout=240, check=False, env={},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reviewers.join()
    came = json.loads(done.stdout)
    assert {name: came[name] for name in EXPECTED} == EXPECTED
    assert {"payment", "refund"} <= set(came["types"])
    assert "review not found" in came["no review"][1]
    assert "bad signature" in came["wrong secret"][1]
    assert "may not resolve its own reviews" in came["resolve"][1]

    stored = http.get("/v1/actions/recent").json()
    told = [(one["payload"]["amount"], one["decision"], one["shadow"]) for one in reversed(stored)]
    assert told == [
        (1, "allow", False), (500, "deny", False), (500, "deny", False), (50, "review", False), (51, "review", False),
        (52, "review", False), (2, "allow", False), (501, "allow", True), (54, "allow", True),
    ]  # fmt: skip
    [observed] = [one["agent_context"] for one in stored if one["payload"]["amount"] == 2]
    assert observed == {"user_id": "u-1"}
    cases = [(case["action_payload"]["amount"], case["status"]) for case in http.get("/v1/review-cases").json()]
    assert cases == [(52, "pending"), (51, "rejected"), (50, "approved")]


def test_a_shadow_call_that_is_too_large_does_not_break_its_application(running: Running, shop: Caller) -> None:
    """The published client raises into the application for every answer but a 2xx."""
    script = """
import sys
from supervisor_guards import configure, guarded
configure(base_url=sys.argv[1], app_id=sys.argv[2], shared_secret=sys.argv[3], scopes=["*"], enforcement_mode="shadow")
print(guarded("refund", {"amount": 1, "text": "x" * 2_000_000}, lambda: "ran"))
"""
    done = subprocess.run(
        [str(published.interpreter()), "-I", "-c", script, running.base_url, shop.id, shop.secret],
        capture_output=True, text=True, timeout=120, check=False, env={},
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("ran\n", 0), done.stderr
