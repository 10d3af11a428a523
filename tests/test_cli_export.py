"""`supervisor-guards decisions --export`: a file that `replay` reads, complete or not there."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from engine import POLICY, settings
from test_cli_decisions import ROWS, elsewhere, row, store

from supervisor_guards import Guard, approved, observing
from supervisor_guards._cli import export
from supervisor_guards.cli import main
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.store import Store

__all__ = ["elsewhere", "store"]  # fixtures

SECRET = "hunter2-S3cr3t-value"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["decisions", *arguments])


def lines(path: str | Path = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


def refused(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    made = Guard(settings(tmp_path, default_on_review="fail_closed"))
    yield made
    made.close()


def test_a_line_a_decision_oldest_first(store: Store) -> None:
    store.write(ROWS)
    result = run("--export", "out.jsonl")
    assert (result.exit_code, result.stdout) == (0, "6 decisions written to out.jsonl\n")
    assert [line["action_id"] for line in lines()] == [f"act-{number}" for number in range(1, 7)]
    assert [line["verdict"] for line in lines()] == ["allow", "deny", "review", "deny", None, None]
    assert [line["outcome"] for line in lines()] == ["allow"] * 3 + ["deny", "allow", "deny"]
    second = lines()[1]
    assert (second["action_type"], second["payload"], second["context"]) == ("refund", {"amount": 2}, None)
    assert (second["reasons"], second["rule_ids"], second["mode"]) == (["too-much"], ["hard-cap"], "shadow")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("--action", "payment"), [4]), (("--outcome", "would-deny"), [2]), (("--outcome", "allow"), [1])],
)
def test_filters_are_those_of_the_list(store: Store, arguments: tuple[str, ...], expected: list[int]) -> None:
    store.write(ROWS)
    assert run("--export", "out.jsonl", *arguments).exit_code == 0
    assert [line["action_id"] for line in lines()] == [f"act-{number}" for number in expected]


def test_all_pages_are_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_PAGE", 3)
    store.write([row(number) for number in range(10)])
    assert run("--export", "-").stdout.count("\n") == 10
    assert run("--export", "-").stderr == "10 decisions written\n"


def test_an_empty_log_is_an_empty_file(store: Store) -> None:
    assert run("--export", "out.jsonl").stdout == "0 decisions written to out.jsonl\n"
    assert lines() == []


def test_replaying_the_file_gives_the_verdicts_of_then(guard: Guard, tmp_path: Path) -> None:
    payloads: list[dict[str, Any]] = [
        {"amount": 5},
        {"amount": 5_000, "password": SECRET, "note": "line\nbreak \u2028 \U0001f600"},
        {"amount": 50_000, "items": [{"token": SECRET}]},
        {"amount": 12_345_678_901_234_567_890},
        {"amount": 1000.0000000001},
        {"amount": "many"},
        {"amount": float("inf")},
        {},
    ]
    with observing(user_id="u-1", password=SECRET):
        for payload in payloads:
            guard.check("refund", payload)
    assert guard.flush()
    assert run("--export", "out.jsonl").exit_code == 0
    assert SECRET not in Path("out.jsonl").read_text()
    then = [line["verdict"] for line in lines()]
    assert len(then) == len(payloads)
    replayed = CliRunner().invoke(
        main, ["replay", "out.jsonl", "--by", "verdict", "--json", "--policy", str(tmp_path / "supervisor.yaml")]
    )
    groups = json.loads(replayed.stdout)["groups"]
    assert {name: {o: n for o, n in group.items() if o != "reasons" and n} for name, group in groups.items()} == {
        verdict: {verdict: then.count(verdict)} for verdict in set(then)
    }
    assert json.loads(replayed.stdout)["totals"]["broken"] == 0


def test_a_rule_that_reads_a_redacted_field_judges_the_marker(tmp_path: Path) -> None:
    policy = POLICY + "  - {id: leaked, when: payload.password == 'hunter2', action: deny, reason: leaked}\n"
    guard = Guard(settings(tmp_path, policy=policy))
    assert guard.check("refund", {"amount": 5, "password": SECRET}).allowed
    guard.close()
    assert run("--export", "out.jsonl").exit_code == 0
    replayed = CliRunner().invoke(
        main, ["replay", "out.jsonl", "--json", "--policy", str(tmp_path / "supervisor.yaml")]
    )
    totals = json.loads(replayed.stdout)["totals"]
    assert (totals["deny"], totals["reasons"]) == (1, {"rule-error:leaked": 1})


def test_reviews_say_how_they_ended(guard: Guard) -> None:
    held = [guard.check("refund", {"amount": 5_000 + number}).action_id for number in range(3)]
    desk = ReviewDesk(guard.supervisor.store)  # type: ignore[attr-defined]
    desk.resolve(held[0], "approved", None, Principal("bob"))
    desk.resolve(held[1], "rejected", "not this one", Principal("eve"))
    with approved(held[0]):
        assert guard.check("refund", {"amount": 5_000}).allowed
    assert guard.flush()
    assert run("--export", "out.jsonl").exit_code == 0
    reviews = {line["action_id"]: line["review"] for line in lines()}
    assert [(reviews[one]["status"], reviews[one]["approver"], reviews[one]["notes"]) for one in held] == [
        ("used", "bob", None), ("rejected", "eve", "not this one"), ("pending", None, None),
    ]  # fmt: skip
    assert reviews[held[0]]["used_at"] >= reviews[held[0]]["resolved_at"]
    assert [review for action_id, review in reviews.items() if action_id not in held] == [None]


def test_the_file_is_private_and_nothing_is_left_beside_it(store: Store) -> None:
    Path("out").mkdir()
    previous = os.umask(0)
    try:
        assert run("--export", "out/log.jsonl").exit_code == 0
    finally:
        os.umask(previous)
    assert stat.S_IMODE(Path("out/log.jsonl").stat().st_mode) == 0o600
    assert os.listdir("out") == ["log.jsonl"]


def test_a_file_is_replaced_on_demand_alone(store: Store) -> None:
    Path("out.jsonl").write_text("mine")
    assert "out.jsonl is there already; name another file, or replace it with --force" in refused(
        run("--export", "out.jsonl")
    )
    assert Path("out.jsonl").read_text() == "mine"
    assert run("--export", "out.jsonl", "--force").exit_code == 0
    assert Path("out.jsonl").read_text() == ""


def test_a_failure_leaves_the_old_file_and_no_half_of_a_new_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write([row(number) for number in range(3)])
    Path("out").mkdir()
    Path("out/log.jsonl").write_text("mine")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "can't write out/log.jsonl: No space left on device" in refused(run("--export", "out/log.jsonl", "--force"))
    assert os.listdir("out") == ["log.jsonl"]
    assert Path("out/log.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("--export", "missing/out.jsonl"), 1, "can't write missing/out.jsonl: No such file or directory"),
        (("--export", ".", "--force"), 1, "no regular file"),
        (("--export", "out.jsonl", "--limit", "3"), 2, "leave out --limit"),
        (("--export", "out.jsonl", "--follow"), 2, "leave out --follow"),
        (("--export", "out.jsonl", "--json"), 2, "leave out --json"),
        (("--force",), 2, "--export FILE"),
    ],
)
def test_wrong_usage(store: Store, arguments: tuple[str, ...], code: int, part: str) -> None:
    assert part in refused(run(*arguments), code)
    assert not Path("out.jsonl").exists()


def test_a_row_that_was_edited_costs_no_other(store: Store) -> None:
    store.write([row(1, payload="{broken"), row(2, payload=None), row(3, payload='{\n"amount": 3}')])
    assert run("--export", "out.jsonl").exit_code == 0
    assert [line["payload"] for line in lines()] == [None, None, {"amount": 3}]
