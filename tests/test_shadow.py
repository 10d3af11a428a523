"""Shadow can't hurt: with anything of ours broken the function runs once, unchanged, and the loss is counted."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from engine import FakeSupervisor, default_guard, rows, settings

from supervisor_guards import Guard, guarded, guarded_async, supervised, supervised_async

PROBLEM = LookupError("no such order")


class Calls:
    """One guarded function in each style; every call is counted."""

    def __init__(self) -> None:
        self.count = 0

    def work(self, value: Any, fail: bool = False) -> Any:
        self.count += 1
        if fail:
            raise PROBLEM
        return value

    async def awork(self, value: Any, fail: bool = False) -> Any:
        return self.work(value, fail)

    def ways(self, **options: Any) -> dict[str, Callable[..., Any]]:
        decorated = supervised("refund", **options)(self.work)
        adecorated = supervised_async("refund", **options)(self.awork)

        def imperative(value: Any, fail: bool = False) -> Any:
            return guarded("refund", {"value": value}, self.work, value, fail)

        async def aimperative(value: Any, fail: bool = False) -> Any:
            return await guarded_async("refund", {"value": value}, self.awork, value, fail)

        return {
            "decorator": decorated,
            "asyncio": lambda *args: anyio.run(adecorated, *args),
            "trio": lambda *args: anyio.run(adecorated, *args, backend="trio"),
            "guarded": imperative,
            "guarded_async": lambda *args: anyio.run(aimperative, *args),
        }


WAYS = pytest.mark.parametrize("way", ["decorator", "asyncio", "trio", "guarded", "guarded_async"])


def unharmed(way: str, value: Any = 5, **options: Any) -> int:
    """Call twice, once to return and once to raise; both must be exactly what the bare function does."""
    calls = Calls()
    call = calls.ways(**options)[way]
    assert call(value) is value
    with pytest.raises(LookupError) as caught:
        call(value, True)
    assert caught.value is PROBLEM
    assert calls.count == 2
    return calls.count


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Guard]:
    with default_guard(settings(tmp_path, "shadow", unmatched="allow")) as guard:
        yield guard


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


@WAYS
def test_whole(way: str, watching: Guard, caplog: pytest.LogCaptureFixture) -> None:
    unharmed(way)
    assert [(row.outcome, row.result) for row in rows(watching)] == [("allow", "returned"), ("allow", "raised")]
    assert errors(caplog) == []


@WAYS
@pytest.mark.parametrize("place", ["a file in the way", "a database that is none", "a server that is not there"])
def test_a_store_that_cannot_be_opened(place: str, way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a database, and no folder either " * 100)
    changes: dict[str, Any] = {
        "a file in the way": {"state_dir": str(tmp_path / "file" / "state")},
        "a database that is none": {"database_url": f"sqlite:///{tmp_path}/file"},
        "a server that is not there": {"database_url": f"postgresql://nobody@/none?host={tmp_path}"},
    }[place]
    with default_guard(settings(tmp_path, "shadow", **changes)) as guard:
        for _ in range(3):
            unharmed(way)
        assert len(rows(guard)) == 6  # kept in memory, and said so
    assert len([line for line in caplog.messages if "in memory only" in line]) == 1


@WAYS
def test_a_locked_database_delays_no_call_and_loses_no_row(way: str, tmp_path: Path) -> None:
    with default_guard(settings(tmp_path, "shadow")) as guard:
        unharmed(way)
        assert len(rows(guard)) == 2
        other = sqlite3.connect(tmp_path / ".supervisor" / "decisions.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        unharmed(way)  # returns while the lock is held
        assert not guard.flush(0.05)
        other.execute("ROLLBACK")
        other.close()
        assert len(rows(guard)) == 4
        assert guard.stats().dropped == 0


@WAYS
def test_a_store_that_fails_later_is_counted_and_told_once(
    way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with default_guard(settings(tmp_path, "shadow")) as guard:
        assert rows(guard) == []
        database = sqlite3.connect(tmp_path / ".supervisor" / "decisions.db", isolation_level=None)
        full = "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        database.execute(f"CREATE TRIGGER full BEFORE INSERT ON sg_decisions {full}")
        for _ in range(3):
            unharmed(way)
            assert guard.flush()
        assert guard.stats().dropped >= 6
        assert len(errors(caplog)) == 1
        database.execute("DROP TRIGGER full")
        database.close()
        unharmed(way)
        assert len(rows(guard)) == 2


@WAYS
def test_a_full_queue(way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entered, hold = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert hold.wait(60)

    supervisor = FakeSupervisor(recording=wait)
    with default_guard(settings(tmp_path, "shadow", queue_size=3), supervisor) as guard:
        guard.check("refund", {})
        assert entered.wait(60)
        for _ in range(5):
            unharmed(way)
        assert guard.stats().dropped >= 7
        hold.set()
        assert guard.flush()
        assert len(supervisor.recorded) == 4
    assert len([line for line in errors(caplog) if "queue was full" in line]) == 1


@WAYS
@pytest.mark.parametrize("text", ["rules: [", "name: x\nruels: []\n", "", "\0"])
def test_a_broken_policy(way: str, text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with default_guard(settings(tmp_path, "shadow", policy=text)) as guard:
        for _ in range(2):
            unharmed(way)
        assert {(row.outcome, row.would_have, row.status) for row in rows(guard)} == {("allow", None, "unknown")}
    assert len(errors(caplog)) == 1


@WAYS
def test_a_policy_that_breaks_while_we_run_stays_in_force(
    way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with default_guard(settings(tmp_path, "shadow")) as guard:
        unharmed(way)
        guard.check("refund", {"amount": 50_000})
        assert rows(guard)[-1].would_have == "deny"
        (tmp_path / "edited.yaml").write_text("rules: [")
        (tmp_path / "edited.yaml").replace(tmp_path / "supervisor.yaml")  # in one step: half a file is another file
        guard.supervisor.policy.refresh()  # type: ignore[attr-defined]
        unharmed(way)
        guard.check("refund", {"amount": 50_000})
        assert rows(guard)[-1].would_have == "deny"
    assert len(errors(caplog)) == 1


@pytest.mark.parametrize("way", ["decorator", "asyncio", "trio"])
def test_a_payload_callable_that_raises(way: str, watching: Guard, caplog: pytest.LogCaptureFixture) -> None:
    unharmed(way, payload=lambda value, fail=False: {"ratio": 1 / 0})
    unharmed(way, payload=dict)
    stored = rows(watching)
    assert {(row.outcome, row.would_have) for row in stored} == {("allow", "deny")}  # what enforce would do
    assert {tuple(row.reasons) for row in stored} == {("payload-raised",)}
