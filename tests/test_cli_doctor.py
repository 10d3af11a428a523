"""`supervisor-guards doctor`: what it finds, and that looking changes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor_guards.cli import main
from supervisor_guards.embedded.keys import Keys
from supervisor_guards.embedded.store import Store

POLICY = """\
name: refund.base
version: 1
action: refund
rules:
  - {id: hard-cap, when: payload.amount > 1000, action: deny, reason: too-much}
"""
BROKEN_TEST = POLICY + "tests:\n  - {payload: {amount: 1}, expect: deny}\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and no setting in the environment."""
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def examined(code: int = 0) -> dict[str, Any]:
    result = doctor("--json")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["ok"] is (code == 0)
    return found


def check(found: dict[str, Any], name: str) -> tuple[str, str]:
    (one,) = [one for one in found["checks"] if one["name"] == name]
    return one["state"], "\n".join(one["details"])


def setting(found: dict[str, Any], name: str) -> tuple[Any, str]:
    (one,) = [one for one in found["settings"] if one["name"] == name]
    return one["value"], one["source"]


def test_fresh_folder_is_fine_and_stays_empty(tmp_path: Path) -> None:
    found = examined()
    assert setting(found, "enforcement_mode") == ("shadow", "default")
    assert check(found, "policy")[0] == "ok"
    assert "starter" in check(found, "policy")[1]
    assert "first guarded call" in check(found, "store")[1]
    assert list(tmp_path.iterdir()) == []


def test_says_where_a_setting_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("supervisor.yaml").write_text(POLICY, encoding="utf-8")
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforce")
    found = examined()
    assert setting(found, "enforcement_mode") == ("enforce", "SUPERVISOR_ENFORCEMENT_MODE")
    assert found["modes"] == {"refund": "enforce"}


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_BASE_URL", "https://supervisor.example")
    monkeypatch.setenv("SUPERVISOR_SECRET", "s3cr3t")
    monkeypatch.setenv("SUPERVISOR_DATABASE_URL", "postgresql://me:hunter2@localhost:1/guards")
    for result in (doctor(), doctor("--json")):
        assert "s3cr3t" not in result.output
        assert "hunter2" not in result.output
        assert "(set)" in result.output


def test_a_service_needs_no_policy_and_no_key_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforce")
    monkeypatch.setenv("SUPERVISOR_BASE_URL", "https://supervisor.example")
    monkeypatch.setenv("SUPERVISOR_APP_ID", "shop")
    state, text = check(examined(1), "settings")
    assert state == "problem"
    assert "SUPERVISOR_SECRET" in text
    monkeypatch.setenv("SUPERVISOR_SECRET", "s3cr3t")
    found = examined()
    for name in ("policy", "store", "key"):
        assert check(found, name)[0] == "ok"


def test_every_fault_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforced")
    monkeypatch.setenv("SUPERVISOR_SAMPLE_PERCENT", "120")
    Path("supervisor.yaml").write_text(BROKEN_TEST, encoding="utf-8")
    found = examined(1)
    state, text = check(found, "settings")
    assert state == "problem"
    assert "'enforced'" in text
    assert "120" in text
    assert check(found, "policy")[0] == "problem"


def test_policy_that_does_not_load() -> None:
    Path("supervisor.yaml").write_text(POLICY.replace("> 1000", "> __import__('os')"), encoding="utf-8")
    state, text = check(examined(1), "policy")
    assert state == "problem"
    assert "hard-cap" in text


def test_enforcing_without_a_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforce")
    state, text = check(examined(1), "policy")
    assert state == "problem"
    assert "starter.yaml supervisor.yaml" in text


def test_store_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / ".supervisor" / "decisions.db"
    Store(f"sqlite:///{path}").close()
    Keys.load(path.parent)
    assert check(examined(), "store files")[0] == "ok"
    path.chmod(0o644)
    path.with_name("master.key").chmod(0o640)
    found = examined(1)
    assert f"chmod 0600 {path}" in check(found, "store files")[1]
    assert "mode 0640" in check(found, "key")[1]


def test_store_that_is_no_database(tmp_path: Path) -> None:
    folder = tmp_path / ".supervisor"
    folder.mkdir(mode=0o700)
    (folder / "decisions.db").write_bytes(b"not a database at all" * 100)
    state, text = check(examined(1), "store")
    assert state == "problem"
    assert "decisions.db" in text


def test_bad_master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_MASTER_KEY", "short")
    state, text = check(examined(1), "key")
    assert state == "problem"
    assert "SUPERVISOR_MASTER_KEY" in text
    assert "short" not in text


def test_kill_switch_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_FORCE_SHADOW", "1")
    assert check(examined(), "settings")[0] == "warning"


def test_table_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Nothing is wrong." in doctor().stdout
    monkeypatch.setenv("SUPERVISOR_SAMPLE_PERCENT", "lots")
    result = doctor()
    assert result.exit_code == 1
    assert "SUPERVISOR_SAMPLE_PERCENT='lots' is not a whole number" in result.stdout
    assert "1 problem" in result.stdout
