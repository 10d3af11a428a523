"""The starter example: run by the `demo` command, and by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from supervisor_guards._cli import agent_loop
from supervisor_guards._default import set_guard
from supervisor_guards.cli import main

ROOT = Path(__file__).parent.parent

WOULD_BLOCK = {
    ("refund", "would review", "amount-needs-review"),
    ("refund", "would deny", "amount-exceeds-hard-cap"),
    ("payment", "would review", "amount-needs-review, first-payment-to-payee"),
    ("account_change", "would review", "account-deletion"),
    ("data_access", "would deny", "bulk-export"),
    ("email_send", "would deny", "secret-in-email"),
    ("email_send", "would review", "many-recipients"),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and no setting in the environment."""
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def demo(*arguments: str) -> str:
    try:
        result = CliRunner().invoke(main, ["demo", *arguments])
    finally:
        set_guard(None)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def blocked(output: str) -> set[tuple[str, str, str]]:
    """Action, verdict and reason of each row of the table."""
    rows = (re.split(r"\s{2,}", line.strip()) for line in output.splitlines() if "  would " in line)
    return {(cells[0], cells[2], cells[4]) for cells in rows}


def test_shows_what_would_have_been_blocked() -> None:
    output = demo()
    assert blocked(output) == WOULD_BLOCK
    assert "sk_live_[redacted]" in output, "payloads are shown as the log has them, without secrets"
    assert "42424242" not in output
    assert f"{len(agent_loop.SCRIPT)} calls, all ran." in output
    assert "Enforce would have let 9 pass, denied 3 and sent 4 to a reviewer." in output


def test_shows_the_same_agent_refused_in_enforce() -> None:
    (denied,) = [line for line in demo().splitlines() if "SupervisorBlocked" in line]
    assert "refund" in denied
    assert "amount-exceeds-hard-cap" in denied


def test_next_steps_work_as_printed(tmp_path: Path) -> None:
    output = demo()
    (copy,) = re.findall(r"cp \S+ supervisor\.yaml", output)
    subprocess.run(copy.split(), check=True, cwd=tmp_path)
    runner = CliRunner()
    assert runner.invoke(main, ["policy", "check"]).exit_code == 0
    assert runner.invoke(main, ["policy", "test"]).exit_code == 0
    assert 'configure(actions={"refund": {"mode": "enforce"}})' in output
    log = runner.invoke(main, ["decisions", "--outcome", "deny"], env={"SUPERVISOR_STATE_DIR": ".supervisor-demo"})
    assert "amount-exceeds-hard-cap" in log.stdout


def test_runs_again_without_counting_the_former_run() -> None:
    first, second = demo(), demo()
    assert blocked(first) == blocked(second)
    assert f"{len(agent_loop.SCRIPT)} calls, all ran." in second


def test_settings_of_the_environment_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first look works where the application's own settings are half done."""
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforcd")
    monkeypatch.setenv("SUPERVISOR_POLICY", "nowhere.yaml")
    monkeypatch.setenv("SUPERVISOR_DATABASE_URL", "postgresql://localhost:1/nothing")
    assert blocked(demo()) == WOULD_BLOCK


def test_leaves_its_log_in_one_private_folder(tmp_path: Path) -> None:
    demo()
    (folder,) = tmp_path.iterdir()
    assert folder.name == ".supervisor-demo"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / ".gitignore").read_text() == "*\n"


def test_state_folder_can_be_chosen(tmp_path: Path) -> None:
    output = demo("--state-dir", "elsewhere/state")
    assert (tmp_path / "elsewhere" / "state" / "decisions.db").is_file()
    assert "SUPERVISOR_STATE_DIR=elsewhere/state" in output


def test_example_runs_by_itself(tmp_path: Path) -> None:
    """In shadow every call runs, and what would have been blocked is logged."""
    done = subprocess.run(
        [sys.executable, "-m", agent_loop.__name__],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(agent_loop.SCRIPT)
    assert all(line.startswith("ran ") for line in lines)
    assert "would have blocked: action=refund outcome=deny" in done.stderr
