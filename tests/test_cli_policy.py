"""`supervisor-guards policy check|test|show`: exit codes and what a person or a CI log sees."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from supervisor_guards.cli import main

POLICY = """\
name: refund.base
version: 1
action: [refund, chargeback]
default: review
rules:
  - id: hard-cap
    when: payload.amount > 1000
    action: deny
    reason: too-much
    explanation: Goes through the manual channel.
  - {id: test-card, when: "payload.get('card_number') == '4242'", action: allow, reason: test-card}
tests:
  - {payload: {amount: 2000}, expect: deny, reasons: [too-much]}
  - {payload: {amount: 1}, expect: review}
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own with `supervisor.yaml`, and no setting in the environment."""
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("supervisor.yaml").write_text(POLICY, encoding="utf-8")


def policy(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["policy", *arguments])


@pytest.mark.parametrize("command", ["check", "test", "show"])
def test_default_is_the_policy_of_this_folder(command: str, tmp_path: Path) -> None:
    result = policy(command)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{tmp_path}/supervisor.yaml (supervisor.yaml in this folder)")


@pytest.mark.parametrize("command", ["check", "test", "show"])
def test_the_starter_serves_where_there_is_none(command: str) -> None:
    Path("supervisor.yaml").unlink()
    result = policy(command)
    assert result.exit_code == 0, result.output
    assert "the starter that ships with the package" in result.stdout


def test_policy_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("supervisor.yaml").rename("other.yaml")
    monkeypatch.setenv("SUPERVISOR_POLICY", "other.yaml")
    assert policy("check").stdout == f"{tmp_path}/other.yaml (SUPERVISOR_POLICY): 1 policy, 2 rules, no faults.\n"


@pytest.mark.parametrize("command", ["check", "test", "show"])
def test_every_fault_is_one_line_with_its_place(command: str) -> None:
    Path("supervisor.yaml").write_text(
        POLICY.replace("payload.amount > 1000", "open('x')").replace("action: allow", "action: maybe"), encoding="utf-8"
    )
    result = policy(command)
    assert result.exit_code == 1
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert "supervisor.yaml:7: " in first
    assert "hard-cap" in first
    assert "supervisor.yaml:11: " in second
    assert "maybe" in second


def test_failing_test_is_named() -> None:
    Path("supervisor.yaml").write_text(POLICY.replace("expect: review", "expect: allow"), encoding="utf-8")
    result = policy("test")
    assert result.exit_code == 1
    assert "2 tests, 1 failed" in result.stdout
    (line,) = result.stderr.splitlines()
    assert "supervisor.yaml:14: " in line
    assert "expected allow, got review" in line
    found = json.loads(policy("test", "--json").stdout)
    assert found["tests"] == 2
    assert len(found["failures"]) == 1


def test_check_redact_lists_rules_a_service_could_not_judge() -> None:
    result = policy("check", "--redact")
    assert result.exit_code == 1
    assert "rule 'test-card' reads payload.card_number" in result.stdout
    assert "hard-cap" not in result.stdout
    found = json.loads(policy("check", "--redact", "--json").stdout)
    assert found["redacted"] == [{"rule": "test-card", "policy": "refund.base@v1", "fields": ["payload.card_number"]}]


def test_check_redact_knows_the_configured_names(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("supervisor.yaml").write_text(POLICY.replace("card_number", "kind"), encoding="utf-8")
    assert policy("check", "--redact").exit_code == 0
    monkeypatch.setenv("SUPERVISOR_REDACT", "amount")
    assert "rule 'hard-cap' reads payload.amount" in policy("check", "--redact").stdout


def test_check_redact_knows_the_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_REDACT_ALLOW", "kind")
    found = json.loads(policy("check", "--redact", "--json").stdout)
    assert [one["rule"] for one in found["redacted"]] == ["hard-cap", "test-card"]


def test_show_tells_rules_as_written() -> None:
    output = policy("show").stdout
    assert "refund.base@v1: refund, chargeback; default review" in output
    (line,) = [line for line in output.splitlines() if "hard-cap" in line]
    for part in ("deny", "payload.amount > 1000", "too-much", "Goes through the manual channel."):
        assert part in line


def test_show_tells_the_priority_of_a_rule() -> None:
    urgent = POLICY.replace("action: allow", "action: review, priority: urgent")
    Path("supervisor.yaml").write_text(urgent, encoding="utf-8")
    (line,) = [line for line in policy("show").stdout.splitlines() if "test-card" in line]
    assert "review, urgent" in line
    (shown,) = json.loads(policy("show", "--json").stdout)["policies"]
    assert [rule["priority"] for rule in shown["rules"]] == [None, "urgent"]


def test_show_json() -> None:
    (shown,) = json.loads(policy("show", "--json").stdout)["policies"]
    assert shown["actions"] == ["refund", "chargeback"]
    assert [rule["id"] for rule in shown["rules"]] == ["hard-cap", "test-card"]
    assert shown["rules"][0]["fields"] == ["payload.amount"]


def test_path_that_is_not_there_is_wrong_usage() -> None:
    result = policy("check", "supervisr.yaml")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "supervisr.yaml" in line


def test_bare_group_shows_its_commands() -> None:
    result = policy()
    assert result.exit_code == 0
    assert "check" in result.stdout
