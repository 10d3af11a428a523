"""`supervisor-guards console`: for who holds the link, on this machine, once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from supervisor_guards import GuardConfig
from supervisor_guards._guard import Guard
from supervisor_guards.cli import main
from tests.service.serving import PATIENCE


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A store with a decision in it."""
    folder = tmp_path / "state"
    guard = Guard(GuardConfig(state_dir=str(folder)))
    guard.check("refund", {"amount": 1})
    guard.close()
    return folder


def test_the_link_opens_it_once_and_only_for_this_machine(state: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    command = [sys.executable, "-u", "-m", "supervisor_guards.cli", "console", "--port", "0", "--as", "dana"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**environment, "SUPERVISOR_STATE_DIR": str(state)}
    )
    try:
        assert process.stdout is not None
        link = next(
            found[0] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+/open\S+", line))
        )
        base = link.partition("/open")[0]
        with httpx.Client(base_url=base, trust_env=False, timeout=PATIENCE) as http:
            assert http.get("/").status_code == 401
            assert http.get("/open?key=guessed").status_code == 403
            assert http.get(link).status_code == 303
            assert "refund" in http.get("/decisions").text
            for headers in ({"host": "evil.example"}, {"host": "127.0.0.1"}, {"origin": "https://evil.example"}):
                assert http.get("/decisions", headers=headers).status_code in (403, 421)
            with httpx.Client(base_url=base, trust_env=False, timeout=PATIENCE) as thief:
                assert thief.get(link).status_code == 403
                assert thief.get("/decisions").status_code == 401
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)


def test_without_a_store_it_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner(env={"SUPERVISOR_STATE_DIR": str(tmp_path / "none")}).invoke(main, ["console", "--port", "0"])
    assert result.exit_code == 1
    assert "no decision store yet" in result.output
