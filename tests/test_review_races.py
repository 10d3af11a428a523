"""Fifty at once, threads and processes: one approval runs one call, one reviewer decides, the others hear it.

What the guarded function does is counted outside the store, by lines appended to a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine import default_guard, rows, settings

from supervisor_guards import ApprovalUsed, Guard, SupervisorReviewPending, approved, guarded
from supervisor_guards._model import ReviewState
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.errors import ReviewResolved

ROOT = Path(__file__).parents[1]
RACERS = 50
PAYLOAD = {"amount": 5_000}


@pytest.fixture
def guard(store_url: str, tmp_path: Path) -> Iterator[Guard]:
    """The default guard, on each database."""
    with default_guard(settings(tmp_path, database_url=store_url, default_on_review="fail_closed")) as made:
        yield made


@pytest.fixture
def held(guard: Guard) -> str:
    """The id of an action that waits for a person."""
    with pytest.raises(SupervisorReviewPending) as caught:
        guarded("refund", PAYLOAD, lambda: None)
    return caught.value.action_id


def desk_of(guard: Guard) -> ReviewDesk:
    return ReviewDesk(guard.supervisor.store)  # type: ignore[attr-defined]


def approve(guard: Guard, action_id: str) -> None:
    desk_of(guard).resolve(action_id, "approved", None, Principal("bob"))


def ran(folder: Path) -> list[str]:
    file = folder / "ran"
    return file.read_text().split() if file.exists() else []


def race(work: Callable[[int], Any]) -> list[Any]:
    """What each of the threads got or raised; they start together."""
    start = threading.Barrier(RACERS)
    answers: list[Any] = [None] * RACERS

    def runner(number: int) -> None:
        start.wait()
        try:
            answers[number] = work(number)
        except Exception as error:
            answers[number] = error

    threads = [threading.Thread(target=runner, args=(number,)) for number in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def assert_one_ran(guard: Guard, held: str, folder: Path) -> None:
    """One line in the file, one row with a result; a row that did not run for each other; the approval is used."""
    assert len(ran(folder)) == 1
    assert guard.supervisor.review(held).status == "used"
    results = Counter((row.outcome, row.result) for row in rows(guard) if row.action_id != held)
    assert results == {("review", "returned"): 1, ("review", "not-run"): RACERS - 1}


def test_of_fifty_threads_one_redeems(guard: Guard, held: str, tmp_path: Path) -> None:
    approve(guard, held)

    def refund(number: int) -> int:
        append(tmp_path / "ran", str(number))
        return number

    def redeem(number: int) -> int:
        with approved(held):
            return guarded("refund", PAYLOAD, refund, number)

    answers = race(redeem)
    (winner,) = [answer for answer in answers if isinstance(answer, int)]
    losers = [answer for answer in answers if isinstance(answer, ApprovalUsed)]
    assert len(losers) == RACERS - 1
    assert {(tuple(loser.reasons), loser.action_id) for loser in losers} == {(("used",), held)}
    assert ran(tmp_path) == [str(winner)]
    assert_one_ran(guard, held, tmp_path)


def test_of_fifty_threads_one_resolves(guard: Guard, held: str) -> None:
    desk = desk_of(guard)

    def resolve(number: int) -> ReviewState:
        return desk.resolve(held, "approved" if number % 2 else "rejected", f"note {number}", Principal(f"r{number}"))

    answers = race(resolve)
    (winner,) = [answer for answer in answers if isinstance(answer, ReviewState)]
    losers = [answer for answer in answers if isinstance(answer, ReviewResolved)]
    assert len(losers) == RACERS - 1
    assert {(loser.status, loser.approver) for loser in losers} == {(winner.status, winner.approver)}
    (when,) = {loser.resolved_at for loser in losers}
    assert when is not None
    assert when.endswith(" UTC")
    assert {str(loser) for loser in losers} == {
        f"review already {winner.status} by {winner.approver} at {when} [action {held}]"
    }
    case = desk.review(held)
    number = answers.index(winner)
    assert (case.status, case.approver, case.notes) == (winner.status, f"r{number}", f"note {number}")


def append(file: Path, line: str) -> None:
    handle = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


RUNNERS = """
import json, os, sys
from click.testing import CliRunner
from supervisor_guards import approved, configure, get_guard, guarded
from supervisor_guards.cli import main

what, action_id, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

def append(file, line):
    handle = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(handle, (line + "\\n").encode())
    os.close(handle)

def redeem(number, start):
    configure()  # opens the policy, the key and the store
    start()
    with approved(action_id):
        try:
            return ["ran", guarded("refund", {"amount": 5_000}, lambda: append("ran", str(number)))]
        except Exception as error:
            return [type(error).__name__, getattr(error, "reasons", None), str(error)]
        finally:
            get_guard().close(60)

def resolve(number, start):
    start()
    command = "approve" if number % 2 else "reject"
    result = CliRunner().invoke(main, ["reviews", command, action_id, "--as", f"r{number}"])
    return [result.exit_code, result.output]

def child(number):
    def start():
        os.write(ready[1], b"1")
        os.read(go[0], 1)  # ends when the parent closes its side
    os.close(go[1])
    append("answers", json.dumps([number, *{"redeem": redeem, "resolve": resolve}[what](number, start)]))

# Everything is imported before the forks, so that fifty children don't each do it.
configure()
get_guard().close(60)
assert CliRunner().invoke(main, ["reviews", "show", action_id]).exit_code == 0

ready, go = os.pipe(), os.pipe()
children = []
for number in range(count):
    children.append(os.fork())
    if not children[-1]:
        try:
            child(number)
        except BaseException as error:
            append("answers", json.dumps([number, type(error).__name__, str(error)]))
        os._exit(0)
os.close(ready[1])
waiting = 0
while waiting < count and (read := os.read(ready[0], count)):
    waiting += len(read)
print(waiting)
os.close(go[1])
for pid in children:
    os.waitpid(pid, 0)
"""


def race_of_processes(what: str, held: str, store_url: str, folder: Path) -> list[list[Any]]:
    """What each of the processes got: its number, then its answer. The first starts when the last is ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    done = subprocess.run(
        [sys.executable, "-c", RUNNERS, what, held, str(RACERS)],
        cwd=folder,
        env={
            **environment,
            "PYTHONPATH": str(ROOT),
            "LOGNAME": "dora",
            "SUPERVISOR_DATABASE_URL": store_url,
            "SUPERVISOR_ENFORCEMENT_MODE": "enforce",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout == f"{RACERS}\n", done.stderr
    answers = [json.loads(line) for line in (folder / "answers").read_text().splitlines()]
    assert sorted(number for number, *_ in answers) == list(range(RACERS))
    return answers


def test_of_fifty_processes_one_redeems(guard: Guard, held: str, store_url: str, tmp_path: Path) -> None:
    approve(guard, held)
    answers = race_of_processes("redeem", held, store_url, tmp_path)
    (winner,) = [number for number, answer, *_ in answers if answer == "ran"]
    said = Counter(json.dumps(answer) for number, *answer in answers if number != winner)
    sentence = f"supervisor blocked the action (deny): used [action {held}]"
    assert said == {json.dumps(["ApprovalUsed", ["used"], sentence]): RACERS - 1}
    assert ran(tmp_path) == [str(winner)]
    assert_one_ran(guard, held, tmp_path)


def test_of_fifty_processes_one_resolves(guard: Guard, held: str, store_url: str, tmp_path: Path) -> None:
    answers = race_of_processes("resolve", held, store_url, tmp_path)
    (winner,) = [number for number, code, _ in answers if code == 0]
    status, by = "approved" if winner % 2 else "rejected", f"r{winner} (command line of dora)"
    losers = [(code, output) for number, code, output in answers if number != winner]
    assert {code for code, _ in losers} == {1}
    ((said, count),) = Counter(output for _, output in losers).items()
    assert count == RACERS - 1
    assert said.startswith(f"Error: review already {status} by {by} at 20")
    assert said.endswith(f" UTC [action {held}]\n")
    case = desk_of(guard).review(held)
    assert (case.status, case.approver) == (status, by)
