"""The published package 0.3.0, unmodified, gets from the tests' services what it would from its own.

So what our client is tested against is what speaks version 1.
"""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from benchmarks import published
from tests.remote.peers import APP_ID, SECRET, Asked, OurService, PlainService

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
    "types": ["refund", "payment"],
    "shadow deny": "ran",
    "shadow review": "ran",
    "ran": [1, 50, 2, 501, 54],
}


def by_amount(question: Asked) -> str:
    amount = question.payload["amount"]
    return "deny" if amount > 100 else "review" if amount >= 50 else "allow"


@pytest.mark.parametrize("kind", [PlainService, OurService])
def test_the_published_package_works_against_our_services(kind: type[PlainService]) -> None:
    with kind(by_amount) as service:

        def people() -> None:
            service.resolve(service.next_case(0).action_id, "approved")
            service.resolve(service.next_case(1).action_id, "rejected", "ordered twice")

        reviewers = threading.Thread(target=people)
        reviewers.start()
        done = subprocess.run(
            [str(published.interpreter()), "-I", str(Path(__file__).with_name("published_caller.py")),
             service.base_url, APP_ID, SECRET],
            capture_output=True, text=True, timeout=120, check=False, env={},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        reviewers.join()
        came = json.loads(done.stdout)
        assert {name: came[name] for name in EXPECTED} == EXPECTED
        assert "review not found" in came["no review"][1]
        assert "bad signature" in came["wrong secret"][1]
        assert came["resolve"] == "approved" if kind is PlainService else "may not resolve" in came["resolve"][1]

        shadows = [asked.payload["amount"] for asked in service.asked if asked.shadow]
        assert shadows == [501, 54]
        assert [asked.payload["amount"] for asked in service.asked if asked.dry_run] == [53]
        assert [case.asked.payload["amount"] for case in service.cases] == [50, 51, 52]
        assert [asked.agent_context for asked in service.asked if asked.agent_context] == [{"user_id": "u-1"}]
