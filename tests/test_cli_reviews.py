"""`supervisor-guards reviews` on a real store, beside the process that waits."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor_guards._model import Hit
from supervisor_guards.cli import main
from supervisor_guards.embedded.rows import DecisionRow, now_us
from supervisor_guards.embedded.store import Store

ROOT = Path(__file__).parent.parent
MINUTE = 60_000_000
HOUR = 60 * MINUTE
POLICY = """
name: refund.base
version: 1
action: refund
rules:
  - {id: large, when: payload.amount > 1000, action: review, reason: large-refund}
"""
WAITING = """
from supervisor_guards import ReviewRejected, configure, get_guard, guarded, observing

configure(enforcement_mode="enforce", review_poll_interval_seconds=0.02, review_timeout_seconds=60)
get_guard().add_hook(lambda event: print(event.action_id, flush=True) if event.kind == "review" else None)
with observing(user_id="ann"):
    try:
        print(guarded("refund", {"amount": 2000}, lambda: "refunded"))
    except ReviewRejected as error:
        print("refused:", *error.reasons)
get_guard().close()
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, no setting in the environment, and a user called dora."""
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LOGNAME", "dora")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "supervisor.yaml").write_text(POLICY)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/.supervisor/decisions.db")
    yield opened
    opened.close()


def opened(
    store: Store,
    action_id: str,
    requester: str | None = "ann",
    age: int = 0,
    priority: str | None = None,
    **changes: Any,
) -> None:
    values: dict[str, Any] = {
        "action_id": action_id,
        "time": now_us() - age,
        "action_type": "refund",
        "mode": "enforce",
        "enforced": True,
        "outcome": "review",
        "reasons": ("large-refund",),
        "rule_ids": ("large",),
        "hits": (Hit("large", "review", "large-refund", "Ask the customer first.", priority),),
        "payload": '{"amount":2000.10}',
        "digest": "d",
    }
    row = DecisionRow(**{**values, **changes})
    store.write_with_review(row, row.time + 24 * HOUR, requester)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["reviews", *arguments])


def refused(result: Result) -> str:
    """The one line of a command that ended with 1."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def start(*arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor_guards.cli", "reviews", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@contextmanager
def waiting() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that is blocked in a guarded call, and the id of its action."""
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            if process.poll() is None:
                process.kill()


# -- The whole way ---------------------------------------------------------------------------------------


def test_a_process_that_waits_goes_on_when_another_approves() -> None:
    with waiting() as (action_id, process):
        assert action_id in run("list").stdout
        code, out, err = ended(start("approve", action_id, "--notes", "called them", "--as", "bob"))
        assert (code, err) == (0, "")
        assert out == (
            f'approved by bob (command line of dora): refund {{"amount":2000}}, asked for by ann [action {action_id}]\n'
        )
        assert process.communicate(timeout=60)[0] == "refunded\n"
    shown = json.loads(run("show", action_id, "--json").stdout)
    assert (shown["status"], shown["approver"], shown["notes"]) == (
        "used", "bob (command line of dora)", "called them",
    )  # fmt: skip
    assert (shown["decision"]["result"], shown["decision"]["rule_ids"]) == ("returned", ["large"])


def test_the_notes_of_a_rejection_reach_who_waits() -> None:
    with waiting() as (action_id, process):
        assert run("reject", action_id, "--notes", "not this customer").exit_code == 0
        out = process.communicate(timeout=60)[0]
    assert out == "refused: large-refund review-rejected not this customer\n"


def test_of_two_approvals_at_once_one_wins(store: Store) -> None:
    opened(store, "act-00001")
    processes = {name: start("approve", "act-00001", "--as", name) for name in ("bob", "eve")}
    ends = {name: ended(process) for name, process in processes.items()}
    (winner,) = [name for name, (code, _, _) in ends.items() if code == 0]
    ((code, out, err),) = [end for name, end in ends.items() if name != winner]
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: review already approved by {winner} (command line of dora) at 20")
    assert len(err.splitlines()) == 1


# -- Deciding --------------------------------------------------------------------------------------------


def test_the_user_of_the_terminal_decides(store: Store) -> None:
    opened(store, "act-00001")
    assert getpass.getuser() == "dora"
    assert run("approve", "act-00001").stdout.startswith("approved by dora: refund")
    assert store.review("act-00001").approver == "dora"


@pytest.mark.parametrize(
    ("asked_by", "arguments", "named"),
    [("dora", (), "dora"), ("Dora", ("--as", "bob"), "dora"), ("bob", ("--as", " BOB "), "BOB")],
)
def test_one_s_own_action(store: Store, asked_by: str, arguments: tuple[str, ...], named: str) -> None:
    opened(store, "act-00001", asked_by)
    assert f"'{named}' asked for this action, and nobody approves their own" in refused(
        run("approve", "act-00001", *arguments)
    )
    assert store.review("act-00001").status == "pending"
    assert run("reject", "act-00001", *arguments).exit_code == 0


def test_abandon(store: Store) -> None:
    opened(store, "act-00001")
    assert run("abandon", "act-00001", "--notes", "ordered twice").exit_code == 0
    state = store.review("act-00001")
    assert (state.status, state.notes) == ("abandoned", "ordered twice")


@pytest.mark.parametrize("command", ["approve", "reject", "abandon"])
def test_what_is_over_stays_so(store: Store, command: str) -> None:
    opened(store, "act-00001")
    opened(store, "act-00002", age=25 * HOUR)
    assert run("reject", "act-00001", "--as", "eve").exit_code == 0
    assert "already rejected by eve (command line of dora) at 20" in refused(run(command, "act-00001"))
    assert "already expired at 20" in refused(run(command, "act-00002"))


def test_a_prefix_is_enough_where_only_one_begins_so(store: Store) -> None:
    for action_id in ("01234567-a1", "01234567-b1", "01234567-b12"):
        opened(store, action_id)
    assert run("approve", "01234567-a").exit_code == 0
    assert store.review("01234567-a1").status == "approved"
    line = refused(run("approve", "01234567"))
    for named in ("01234567-a1 (approved)", "01234567-b1 (pending)", "01234567-b12 (pending)"):
        assert named in line
    assert run("reject", "01234567-b1").exit_code == 0, "a whole id is meant, not what it begins"
    assert store.review("01234567-b12").status == "pending"
    assert "at least its first 8 characters" in refused(run("approve", "0123456"))
    assert "no review '98765432'" in refused(run("approve", "98765432"))


def test_many_candidates_are_counted(store: Store) -> None:
    for number in range(7):
        opened(store, f"01234567-{number}")
    line = refused(run("show", "01234567"))
    assert "01234567-4 (pending)" in line
    assert " and others; give more of the id" in line


def test_wrong_usage(store: Store) -> None:
    opened(store, "act-00001")
    for arguments in (["approve"], ["approve", "act-00001", "--as", " "], ["list", "--status", "open"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
    assert store.review("act-00001").status == "pending"


def test_no_store_yet(tmp_path: Path) -> None:
    for arguments in (["list"], ["show", "act-00001"], ["approve", "act-00001"]):
        assert "no decision store yet" in refused(run(*arguments))
    assert not (tmp_path / ".supervisor").exists(), "looking for a store must not make one"


# -- Looking ---------------------------------------------------------------------------------------------


def test_list_says_what_waits_why_and_for_whom(store: Store) -> None:
    opened(store, "act-00001", age=3 * HOUR + 5 * MINUTE, subject="user:7")
    opened(store, "act-00002", age=2 * MINUTE, requester=None)
    opened(store, "act-00003")
    run("reject", "act-00003")
    lines = [line for line in run("list").stdout.splitlines() if "act-" in line]
    assert [line.split()[0] for line in lines] == ["act-00001", "act-00002"]
    for part in ("3h 5m", "20h 54m", "refund", '{"amount":2000.10}', "large-refund", "user:7, ann"):
        assert part in lines[0]
    for part in ("2m", "23h 57m", "unknown"):
        assert part in lines[1]


def test_narrow_terminal_gets_a_line_a_review(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    opened(store, "act-00001", age=2 * MINUTE)
    (line,) = run("list", "--status", "all").stdout.splitlines()
    assert line.startswith('act-00001  refund  {"amount":2000.10}  reasons=large-refund  asked=ann  age=2m')
    assert line.endswith("status=pending")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["act-1", "act-2", "act-4"]),
        (["--limit", "2"], ["act-1", "act-2"]),
        (["--status", "rejected"], ["act-3"]),
        (["--status", "approved"], []),
        (["--status", "all"], ["act-1", "act-2", "act-3", "act-4"]),
        (["--status", "all", "--limit", "2"], ["act-3", "act-4"]),
    ],
)
def test_list_filters(store: Store, arguments: list[str], expected: list[str]) -> None:
    for number in range(1, 5):
        opened(store, f"act-{number}")
    assert run("reject", "act-3").exit_code == 0
    result = run("list", "--json", *arguments)
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["action_id"] for row in rows] == expected
    assert all(row["reasons"] == ["large-refund"] for row in rows)


@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_most_pressing_come_first_and_say_so(store: Store, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for number, priority in enumerate(("normal", "low", "urgent", "high", "urgent")):
        opened(store, f"act-{number}", priority=priority)
    found = [line for line in run("list").stdout.splitlines() if "act-" in line]
    order = [line.split()[0] for line in found]
    assert order == ["act-2", "act-4", "act-3", "act-0", "act-1"]
    for line, word in zip(found, ("urgent", "urgent", "high", "normal", "low"), strict=True):
        assert word in line
    first, *_ = run("list", "--json", "--limit", "1").stdout.splitlines()
    assert (json.loads(first)["action_id"], json.loads(first)["priority"]) == ("act-2", "urgent")
    assert "priority:   urgent" in run("show", "act-2").stdout


def test_list_says_what_it_left_out(store: Store) -> None:
    assert "Nothing waits for a person." in run("list").stdout
    assert "No reviews match." in run("list", "--status", "used").stdout
    for number in range(3):
        opened(store, f"act-{number}")
    assert "2 more; `--limit` shows them." in run("list", "--limit", "1").stdout
    assert "more;" not in run("list", "--limit", "3").stdout


def test_show(store: Store) -> None:
    opened(store, "act-00001", subject="user:7", route="/refunds")
    lines = run("show", "act-00001").stdout.splitlines()
    for line in (
        "id:         act-00001",
        "status:     pending",
        "route:      /refunds",
        "who asked:  user:7, ann",
        "rule:       large: review: Ask the customer first.",
        '  "amount": 2000.10',
    ):
        assert line in "\n".join(lines)
    assert not any(line.startswith("decided") for line in lines)
    run("reject", "act-00001", "--notes", "no")
    after = run("show", "act-00001").stdout
    assert "decided by: dora" in after
    assert "notes:      no" in after


def test_hostile_text_reaches_no_terminal(store: Store) -> None:
    opened(store, "act-00001", "\x1b[2Jann\nforged", payload='{"note":"\u202e\\u001b[2J"}', reasons=("\r\nforged",))
    for arguments in (["list"], ["show", "act-00001"], ["reject", "act-00001", "--notes", "\x1b[2J"]):
        result = run(*arguments)
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
        assert "\u202e" not in result.stdout
        assert not any(line.startswith("forged") for line in result.stdout.splitlines())
        assert "\\x1b[2Jann\\nforged" in result.stdout
    assert "\x1b" not in run("show", "act-00001").stdout
