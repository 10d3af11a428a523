"""`supervisor-guards verify` and `purge`, on a real store."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor_guards import configure, get_guard, guarded
from supervisor_guards._default import set_guard
from supervisor_guards.cli import main

DATABASE = Path(".supervisor") / "decisions.db"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own with a few decisions, and no setting in the environment."""
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    act(3)


def act(count: int, **settings: Any) -> None:
    configure(**settings)
    try:
        for number in range(count):
            guarded("refund", {"amount": number}, lambda: None)
        assert get_guard().flush()
        get_guard().close()
    finally:
        set_guard(None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def edit(statement: str) -> None:
    with sqlite3.connect(DATABASE) as connection:
        assert connection.execute(statement).rowcount
    connection.close()


def test_a_record_as_written() -> None:
    result = run("verify")
    assert result.exit_code == 0
    assert "Checked 3 decisions and" in result.stdout
    assert "Everything is as it was written." in result.stdout


def test_a_finding_names_the_action_and_fails() -> None:
    edit("UPDATE sg_decisions SET outcome = 'deny' WHERE id = 2")
    result = run("verify", "--json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    with sqlite3.connect(DATABASE) as connection:
        (action_id,) = connection.execute("SELECT action_id FROM sg_decisions WHERE id = 2").fetchone()
    connection.close()
    assert finding["kind"] == "edited"
    assert action_id in finding["detail"]
    assert "1 finding" in run("verify").stdout


def test_the_printed_line_is_an_anchor(tmp_path: Path) -> None:
    anchors = tmp_path / "anchors.jsonl"
    anchors.write_text(run("verify").stdout.splitlines()[-1] + "\n")
    act(1)
    result = run("verify", "--anchor", str(anchors))
    assert (result.exit_code, "1 anchor;" in result.stdout) == (0, True)
    with sqlite3.connect(DATABASE) as connection:
        for table in ("sg_decisions", "sg_segments", "sg_events"):
            connection.execute(f"DELETE FROM {table}")
    connection.close()
    assert run("verify").exit_code == 0, "an empty record alone shows nothing"
    result = run("verify", "--anchor", str(anchors))
    assert result.exit_code == 1
    assert "its end is missing" in result.stdout


def test_a_file_that_holds_no_anchor_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"segment": 1}\n')
    result = run("verify", "--anchor", str(wrong))
    assert result.exit_code == 1
    assert "wrong.jsonl, line 1 is not an anchor" in result.stderr


def test_another_key_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_MASTER_KEY", "ab" * 32)
    result = run("verify")
    assert result.exit_code == 1
    assert "unknown-key" in result.stdout
    assert "SUPERVISOR_MASTER_KEY" in result.stdout


def test_purge_deletes_and_the_rest_verifies() -> None:
    assert run("purge", "--older-than", "1", "--yes").stdout == "Deleted 0 rows older than 1 days.\n"
    assert "Deleted 3 rows" in run("purge", "--older-than", "0", "--yes").stdout
    act(1)
    result = run("verify")
    assert result.exit_code == 0
    assert "Checked 1 decision and" in result.stdout
    assert "3 more were deleted by retention" in result.stdout


def test_purge_asks_first_and_says_what_it_lacks() -> None:
    assert CliRunner().invoke(main, ["purge", "--older-than", "0"], input="n\n").exit_code == 130
    assert "Checked 3 decisions" in run("verify").stdout
    result = run("purge")
    assert result.exit_code == 2
    assert "SUPERVISOR_RETENTION_DAYS" in result.stderr


def test_the_setting_deletes_by_itself() -> None:
    act(1, retention_days=1e-9)
    act(1, retention_days=1e-9)
    text = run("verify").stdout
    assert "0 more were deleted" not in text
    assert "Everything is as it was written." in text
