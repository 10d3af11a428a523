"""Our own client passes the tests of its own, `tests/remote`, against this service.

They are written for a peer on a real socket. Here they run once more, with the service behind that socket.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "tests" / "remote"
ASK_NO_SERVICE = {"test_fault_table.py", "test_remote_parts.py"}
"""They are about services that don't work, and about parts of the client."""
LEFT_OUT = {
    "test_peers.py::test_who_may_ask": "the peer's words for tokens that version 1 says nothing of: test_tokens.py",
    "test_peers.py::test_what_is_no_evaluation": "422 for what is no JSON, where this service says 400",
    "test_peers.py::test_each_item_of_a_batch_stands_alone": "its policy answers 429, which a policy can't",
    "test_peers.py::test_an_approval_is_redeemed_once_by_whom_it_was_given_to": "its equal questions are one review",
    "test_remote_reviews.py::test_cancelling_a_wait_ends_it_and_holds_no_thread": "it counts the service's threads too",
    "test_shadow_shipping.py::test_a_refused_action_of_a_batch_costs_its_row_alone": "its policy answers 429",
}


@pytest.mark.parametrize("name", sorted({path.name for path in SUITE.glob("test_*.py")} - ASK_NO_SERVICE))
def test_our_own_client_passes_its_suite_against_this_service(name: str) -> None:
    left_out = [f"--deselect=tests/remote/{test}" for test in LEFT_OUT]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.service.real_peer", "-p", "no:cacheprovider",
         "--timeout=120", "-k", "not PlainService", *left_out, str(SUITE / name)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
