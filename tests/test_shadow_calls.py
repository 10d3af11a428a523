"""Shadow can't hurt, whatever the call carries and wherever it is made: strange values, forks, a process's end."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine import FORK_IS_MEANT, POLICY, default_guard, rows, settings
from test_shadow import WAYS, errors, unharmed

from supervisor_guards import Guard, observing, supervised
from supervisor_guards._context import Facts, acting


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Guard]:
    with default_guard(settings(tmp_path, "shadow", unmatched="allow")) as guard:
        yield guard


touched: list[str] = []


def trap(name: str, result: Any = None) -> Any:
    """A method that must never be called: it notes that it was, and raises."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        touched.append(name)
        raise RuntimeError(f"{name} was called")

    return method


NAMES = [
    "__str__", "__repr__", "__iter__", "__len__", "__bool__", "__int__", "__float__", "__index__", "__bytes__",
    "__format__", "__contains__", "__getitem__", "__eq__", "__hash__", "__fspath__", "__reduce_ex__", "__next__",
    "__iter__", "__call__", "__getattr__", "__dir__", "__sizeof__", "__array__", "__json__", "keys", "items",
    "values", "isoformat", "utcoffset", "as_tuple", "model_dump", "dict", "to_dict", "__pydantic_serializer__",
]  # fmt: skip
TRAPS = {name: trap(name) for name in NAMES}
Lazy = type("Lazy", (), TRAPS)
Mapping = type("Mapping", (dict,), TRAPS)
Listing = type("Listing", (list,), TRAPS)
Text = type("Text", (str,), TRAPS)
Whole = type("Whole", (int,), TRAPS)
Real = type("Real", (float,), TRAPS)
Money = type("Money", (Decimal,), TRAPS)
Bag = type("Bag", (set,), TRAPS)


class Everything:
    def __getattribute__(self, name: str) -> Any:
        touched.append(name)
        raise RuntimeError(name)


@dataclasses.dataclass
class Order:
    number: int
    note: Any


class Colour(enum.Enum):
    RED = object()


def endless() -> Iterator[int]:
    touched.append("generator")
    yield 1


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
VALUES: dict[str, Any] = {
    "nan": math.nan, "infinity": [math.inf, -math.inf], "lone surrogate": "\ud800", "surrogate key": {"\ud800": 1},
    "cycle": CYCLE, "deep": deep(5_000), "huge": "x" * 5_000_000, "many": list(range(300_000)),
    "huge integer": 10**400, "decimal": Decimal("NaN"), "bytes": b"\xff\0", "memoryview": memoryview(b"abc"),
    "set": {1, "a", None}, "keys": {None: 1, 2: 2, (1, 2): 3, True: 4, 1.5: 5, b"b": 6}, "clash": {1: 1, "1": 2},
    "object": object(), "class": int, "function": print, "module": os, "ellipsis": ..., "complex": 1j,
    "lock": threading.Lock(), "exception": ValueError("x"), "dataclass": Order(1, object()), "enum": Colour.RED,
    "path": Path("/a"), "range": range(3), "generator": endless(), "lazy": Lazy(), "everything": Everything(),
    "mapping": Mapping(a=1), "listing": Listing([1]), "text": Text("a"), "whole": Whole(1), "real": Real(1.5),
    "money": Money("1.5"), "bag": Bag(), "nested": {"a": [Lazy(), Mapping(b=Everything())]},
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_no_value_can_break_a_call_or_is_asked_to_describe_itself(
    name: str, watching: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    touched.clear()
    unharmed("decorator", VALUES[name])
    unharmed("guarded", VALUES[name])
    stored = rows(watching)
    assert [row.result for row in stored] == ["returned", "raised"] * 2
    for row in stored:
        assert len(row.payload) < 200_000
        json.loads(row.payload)
    assert touched == []
    assert (errors(caplog), watching.stats().lost) == ([], 0)


@pytest.mark.parametrize("name", ["lone surrogate", "cycle", "nan", "lazy", "everything", "huge", "nested", "text"])
def test_no_context_or_request_can_break_a_call(name: str, watching: Guard) -> None:
    touched.clear()
    with observing(user_id=VALUES[name], goal=VALUES[name]):
        unharmed("decorator")
    with acting(Facts(subject="s", route="/\ud800", request={"path": "/\ud800"})):
        unharmed("decorator")
    assert len(rows(watching)) == 4
    assert touched == []


def test_a_rule_that_raises_is_what_enforce_would_refuse(tmp_path: Path) -> None:
    policy = POLICY.replace("payload.amount > 10000", "payload.missing.field > 1")
    with default_guard(settings(tmp_path, "shadow", policy=policy)) as guard:
        assert supervised("refund")(lambda amount: amount)(5) == 5
        (row,) = rows(guard)
    assert (row.outcome, row.would_have, list(row.reasons)) == ("allow", "deny", ["rule-error:hard-cap"])


@WAYS
def test_a_hook_that_raises(way: str, watching: Guard, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: object) -> None:
        raise RuntimeError("chat is down")

    watching.add_hook(broken)
    unharmed(way)
    unharmed(way)
    assert len(rows(watching)) == 4
    assert watching.stats().hook_errors == 4
    assert len(errors(caplog)) == 1


def python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    settings(folder, "shadow")
    return subprocess.run(
        [sys.executable, "-W", FORK_IS_MEANT, "-c", script],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )


def recorded(folder: Path) -> list[tuple[int, str | None]]:
    """Amount and result of every row."""
    guard = Guard(settings(folder, "shadow"))
    found = [(json.loads(row.payload)["amount"], row.result) for row in rows(guard)]
    guard.close()
    return sorted(found, key=str)


HEAD = """
import atexit, os, sys, threading
early = []
atexit.register(lambda: [call() for call in early])
from supervisor_guards import get_guard, supervised

@supervised("refund")
def refund(amount):
    print("ran", amount, flush=True)
    return amount
"""
ENDS = {
    "a call in atexit": ("atexit.register(refund, 2); refund(1)", [1, 2]),
    "a first call in atexit": ("atexit.register(refund, 1)", [1]),
    "a call in atexit after we closed": ("early.append(lambda: refund(2)); refund(1)", [1, 2]),
    "an uncaught exception": ("refund(1); raise SystemExit(0)", [1]),
    "a daemon thread": (
        (
            "done = threading.Event()\n"
            "def go():\n    refund(1); done.set(); threading.Event().wait()\n"
            "threading.Thread(target=go, daemon=True).start(); done.wait(); refund(2)"
        ),
        [1, 2],
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_calls_at_the_end_of_a_process_run_and_are_recorded(end: str, tmp_path: Path) -> None:
    script, amounts = ENDS[end]
    done = python(HEAD + script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split("\n")[:-1]) == [f"ran {amount}" for amount in amounts]
    assert [amount for amount, _ in recorded(tmp_path)] == amounts


def test_a_daemon_thread_that_never_stops_calling_does_not_hang_or_break_the_end(tmp_path: Path) -> None:
    go = """
started = threading.Event()
quiet = supervised("refund")(lambda amount: amount)
quiet(0); assert get_guard().flush()  # CPython 3.13.0 aborts when it ends while a thread still imports
def go():
    while quiet(7) == 7:
        started.set()
refund(1); assert get_guard().flush()  # later the queue may be full, or the end too short for all that is in it
threading.Thread(target=go, daemon=True).start()
started.wait()
"""
    done = python(HEAD + go, tmp_path)
    assert (done.returncode, done.stdout) == (0, "ran 1\n")
    assert "Traceback" not in done.stderr
    assert (1, "returned") in recorded(tmp_path), done.stderr


def test_a_forked_child_records_its_calls_and_not_its_parents(tmp_path: Path) -> None:
    fork = """
refund(1); assert get_guard().flush()
refund(2)
pid = os.fork()
if pid:
    refund(3); os.waitpid(pid, 0)
else:
    refund(4); assert get_guard().flush(); os._exit(0)
refund(5)
"""
    done = python(HEAD + fork, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert recorded(tmp_path) == [(amount, "returned") for amount in range(1, 6)]


def test_processes_of_multiprocessing_record_their_calls(tmp_path: Path) -> None:
    fork = """
import multiprocessing
refund(1); assert get_guard().flush()
context = multiprocessing.get_context("fork")
children = [context.Process(target=refund, args=(amount,)) for amount in (2, 3, 4)]
for child in children: child.start()
for child in children: child.join()
assert [child.exitcode for child in children] == [0, 0, 0]
"""
    done = python(HEAD + fork, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert recorded(tmp_path) == [(amount, "returned") for amount in range(1, 5)]
