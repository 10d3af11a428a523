"""`supervisor-guards replay`: recorded actions against a policy."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor_guards.cli import main

POLICY = """\
name: refund.base
version: 1
action: refund
rules:
  - {id: hard-cap, when: payload.amount > 1000, action: deny, reason: too-much}
  - {id: unusual, when: payload.amount > 100, action: review, reason: unusual}
  - {id: insider, when: "context.get('user_id') == 'mallory'", action: deny, reason: known-fraudster}
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


def record(amount: Any, action_type: str = "refund", **others: Any) -> str:
    return json.dumps({"action_type": action_type, "payload": {"amount": amount}, **others})


def replay(lines: list[str | bytes], *arguments: str) -> Result:
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    Path("actions.jsonl").write_bytes(b"\n".join(raw))
    return CliRunner().invoke(main, ["replay", "actions.jsonl", *arguments])


def answer(lines: list[str | bytes], *arguments: str) -> dict[str, Any]:
    result = replay(lines, "--json", *arguments)
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def test_counts_and_reasons() -> None:
    found = answer([record(5), record(500), record(5000), record(7, context={"user_id": "mallory"})])
    assert found["groups"] == {
        "all": {
            "allow": 1,
            "review": 1,
            "deny": 2,
            "reasons": {"unusual": 1, "too-much": 1, "known-fraudster": 1},
        }
    }
    assert found["totals"] == {"actions": 4, "broken": 0, **found["groups"]["all"]}
    assert found["broken"] == []
    assert found["uncovered"] == {}


def test_groups_by_a_key_of_any_kind() -> None:
    lines: list[str | bytes] = [
        record(5, kind="a"),
        record(5000, kind="a"),
        record(5, kind=None),
        record(5),
        record(5, kind=7),
        record(5, kind={"b": 1, "a": [True]}),
    ]
    groups = answer(lines, "--by", "kind")["groups"]
    assert {name: (tally["allow"], tally["deny"]) for name, tally in groups.items()} == {
        "a": (1, 1),
        "null": (2, 0),
        "7": (1, 0),
        '{"a": [true], "b": 1}': (1, 0),
    }


def test_broken_lines_are_named_and_cost_nothing_else() -> None:
    lines: list[str | bytes] = [
        record(5),
        "{",
        "",
        b'{"action_type": "refund", "payload": {"x": "\xff"}}',
        "[1]",
        '{"payload": {}}',
        '{"action_type": "refund"}',
        '{"action_type": "refund", "payload": 1}',
        '{"action_type": "refund", "payload": {}, "context": 1}',
        "[" * 100_000,
        record(5000),
    ]
    found = answer(lines)
    assert [broken["line"] for broken in found["broken"]] == [2, 4, 5, 6, 7, 8, 9, 10]
    faults = [broken["fault"] for broken in found["broken"]]
    for fault, part in zip(
        faults, ["not JSON", "not UTF-8", "object", "action_type", "payload", "payload", "context", "JSON"], strict=True
    ):
        assert part in fault
    assert (found["totals"]["allow"], found["totals"]["deny"], found["totals"]["broken"]) == (1, 1, 8)


def test_broken_lines_are_named_to_people() -> None:
    result = replay([record(5), "{"])
    assert result.exit_code == 0
    assert "Line 2 skipped: not JSON" in result.stderr


def test_nothing_readable_is_a_problem() -> None:
    result = replay(["{", "[]"])
    assert result.exit_code == 1
    assert "nothing to judge: 2 lines broken, the first: not JSON" in result.stderr


@pytest.mark.parametrize(("arguments", "outcome"), [([], "allow"), (["--unmatched", "deny"], "deny")])
def test_action_without_policy(arguments: list[str], outcome: str) -> None:
    found = answer([record(5), record(5, "teleport"), record(6, "teleport")], *arguments)
    assert found["uncovered"] == {"teleport": 2}
    assert found["totals"][outcome] == (3 if outcome == "allow" else 2)


def test_field_that_a_rule_reads_is_missing() -> None:
    """What enforce would say: a deny rule that can't be judged denies."""
    found = answer(['{"action_type": "refund", "payload": {"amuont": 1}}'])
    assert found["totals"]["deny"] == 1
    assert "rule-error:hard-cap" in found["totals"]["reasons"]


def test_number_no_policy_can_compare() -> None:
    found = answer(['{"action_type": "refund", "payload": {"amount": NaN}}'])
    assert found["totals"]["deny"] == 1


def test_table_for_people() -> None:
    result = replay([record(5, suite="x"), record(5000, suite="y"), record(1, "teleport", suite="y")], "--by", "suite")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "supervisor.yaml" in lines[0]
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert rows["suite"] == ["actions", "allow", "deny", "review", "why"]
    assert rows["x"] == ["1", "1", "0", "0", "-"]
    assert rows["y"][:4] == ["2", "1", "1", "0"]
    assert rows["total"][:4] == ["3", "2", "1", "0"]
    assert "too-much (1)" in result.stdout
    assert "No policy covers, so counted as allow: teleport (1)" in result.stdout


def test_named_policy_and_standard_input(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(POLICY.replace("> 1000", "> 1"), encoding="utf-8")
    arguments = ["replay", "-", "--policy", str(other), "--json"]
    result = CliRunner().invoke(main, arguments, input=record(5))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["totals"]["deny"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["replay", "missing.jsonl"], 2, ["missing.jsonl"]),
        (["replay", "actions.jsonl", "--by", "siute"], 2, ["'siute'", "action_type", "suite"]),
        (["replay", "actions.jsonl", "--unmatched", "maybe"], 2, ["maybe", "deny", "allow"]),
        (["replay", "actions.jsonl", "--policy", "missing.yaml"], 2, ["missing.yaml"]),
        (["replay"], 2, ["FILE.jsonl"]),
        (["reply"], 2, ["reply"]),
    ],
)
def test_errors_are_one_line(arguments: list[str], code: int, parts: list[str]) -> None:
    Path("actions.jsonl").write_text(record(1, suite="a"), encoding="utf-8")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    for part in parts:
        assert part in result.stderr


def test_help_names_every_command() -> None:
    for arguments in ([], ["--help"]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0
        for command in ("demo", "policy", "replay", "decisions", "doctor"):
            assert command in result.stdout
