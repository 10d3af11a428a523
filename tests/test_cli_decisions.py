"""`supervisor-guards decisions` on a real store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor_guards.cli import main
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.embedded.store import Store

ROOT = Path(__file__).parent.parent
MINUTE = 1_800_000_000_000_000


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and no setting in the environment."""
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/.supervisor/decisions.db")
    yield opened
    opened.close()


def row(number: int, **changes: Any) -> DecisionRow:
    values: dict[str, Any] = {
        "action_id": f"act-{number}",
        "time": MINUTE + number,
        "action_type": "refund",
        "mode": "shadow",
        "enforced": False,
        "outcome": "allow",
        "would_have": "allow",
        "payload": f'{{"amount":{number}}}',
    }
    return DecisionRow(**{**values, **changes})


ROWS = [
    row(1),
    row(2, would_have="deny", reasons=("too-much",), rule_ids=("hard-cap",)),
    row(3, would_have="review", reasons=("large",)),
    row(4, action_type="payment", mode="enforce", enforced=True, outcome="deny", would_have=None),
    row(5, status="unknown", would_have=None, reasons=("not-judged",)),
    row(6, status="unavailable", outcome="deny", would_have=None, enforced=True, mode="enforce"),
]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["decisions", *arguments])


def shown(result: Result) -> dict[str, str]:
    """Action id to what the row is shown as."""
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return {row["action_id"]: row["shown_as"] for row in rows}


def test_no_store_yet(tmp_path: Path) -> None:
    result = run()
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert f"no decision store yet: {tmp_path}/.supervisor/decisions.db" in result.stderr
    assert not (tmp_path / ".supervisor").exists(), "looking for a store must not make one"


def test_table_names_the_verdict_and_why(store: Store) -> None:
    store.write(ROWS)
    result = run()
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if "act-2" in line]
    for part in ("refund", '{"amount":2}', "would deny", "hard-cap", "too-much", "2027-01-15 08:00:00"):
        assert part in line


def test_narrow_terminal_gets_a_line_a_decision(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    store.write(ROWS)
    lines = run().stdout.splitlines()
    assert len(lines) == len(ROWS)
    assert "would deny" in lines[4]
    assert "reason=too-much" in lines[4]


def test_rows_are_shown_as_what_became_of_them(store: Store) -> None:
    store.write(ROWS)
    assert shown(run("--json")) == {
        "act-6": "unavailable",
        "act-5": "unknown",
        "act-4": "deny",
        "act-3": "would review",
        "act-2": "would deny",
        "act-1": "allow",
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--limit", "2"], ["act-6", "act-5"]),
        (["--limit", "0"], []),
        (["--action", "payment"], ["act-4"]),
        (["--outcome", "would-deny"], ["act-2"]),
        (["--outcome", "would-review"], ["act-3"]),
        (["--outcome", "allow"], ["act-1"]),
        (["--outcome", "unknown"], ["act-5"]),
        (["--outcome", "unavailable"], ["act-6"]),
        (["--outcome", "deny"], ["act-4"]),
    ],
)
def test_filters(store: Store, arguments: list[str], expected: list[str]) -> None:
    store.write(ROWS)
    assert list(shown(run("--json", *arguments))) == expected


def test_limit_reaches_past_rows_that_are_filtered_out(store: Store) -> None:
    """More would-deny rows than one page lie before the only allow."""
    store.write([row(0)])
    store.write([row(number, would_have="deny") for number in range(1, 600)])
    assert list(shown(run("--json", "--outcome", "allow", "--limit", "1"))) == ["act-0"]


def test_empty_store_says_so(store: Store) -> None:
    assert "No decisions match" in run().stdout


def test_hostile_text_reaches_no_terminal(store: Store) -> None:
    store.write([row(1, action_type="\x1b[2Jrefund\u202e[bold]", reasons=("\r\nforged",))])
    result = run()
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "\\x1b[2Jrefund\\u202e[bold]" in result.stdout
    assert "\\r\\nforged" in result.stdout


def test_unknown_outcome_is_wrong_usage(store: Store) -> None:
    result = run("--outcome", "denied")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "denied" in result.stderr
    assert "would-deny" in result.stderr


@pytest.mark.parametrize("option", [["--follow"], ["--export", "-"]])
def test_what_reads_a_store_itself_names_the_service_that_keeps_it(
    monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    monkeypatch.setenv("SUPERVISOR_BASE_URL", "https://supervisor.example")
    result = run(*option)
    assert result.exit_code == 1
    assert "SUPERVISOR_BASE_URL=https://supervisor.example" in result.stderr


def test_a_service_that_can_not_be_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_BASE_URL", "https://supervisor.example")
    result = run()
    assert result.exit_code == 1
    assert "SUPERVISOR_APP_ID" in result.stderr


def test_follow_shows_what_comes_and_ends_well_on_ctrl_c(store: Store, tmp_path: Path) -> None:
    store.write(ROWS[:2])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "supervisor_guards.cli", "decisions", "--follow", "--json", "--limit", "1"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["action_id"] == "act-2"
        store.write([row(7)])
        assert json.loads(process.stdout.readline())["action_id"] == "act-7"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
