"""A default guard that can't be made, as something is enforced: calls in shadow run, and no other does."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor_guards import (
    ConfigurationError,
    Guard,
    GuardConfig,
    SupervisorBlocked,
    _default,
    configure,
    get_guard,
    guarded,
    guarded_async,
    supervised,
    supervised_async,
)
from supervisor_guards.config import reset_for_tests
from supervisor_guards.web import make_guard, provide_guard

POLICY = """
name: all
version: 1
action: [refund, report]
rules:
  - {id: cap, when: payload.amount > 100, action: deny, reason: too-much}
"""
WAYS: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "decorator": lambda action, options: supervised(action, **options)(paid)(500),
    "async decorator": lambda action, options: anyio.run(supervised_async(action, **options)(apaid), 500),
    "generator": lambda action, options: next(supervised(action, **options)(each)(500)),
    "guarded": lambda action, options: guarded(action, {"amount": 500}, paid, 500, **options),
    "guarded_async": lambda action, options: anyio.run(
        lambda: guarded_async(action, {"amount": 500}, apaid, 500, **options)
    ),
}
way = pytest.mark.parametrize("way", WAYS)


def paid(amount: int) -> int:
    return amount


async def apaid(amount: int) -> int:
    return amount


def each(amount: int) -> Iterator[int]:
    yield amount


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, no setting in the environment, and no default guard."""
    for name in [name for name in os.environ if name.startswith("SUPERVISOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_default, "AGAIN_SECONDS", 0.0)
    reset_for_tests()
    yield tmp_path
    provide_guard(None)
    reset_for_tests()


class Provider:
    """Makes the default guard of `config`, as an adapter does; `tries` counts."""

    def __init__(self, config: GuardConfig) -> None:
        self.config = config
        self.tries = 0
        provide_guard(self.make, lambda: self.config)

    def make(self) -> Guard:
        self.tries += 1
        return make_guard(self.config)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


@way
def test_a_call_site_in_shadow_runs_and_the_fault_is_logged_once(
    way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforce")  # and there is no policy
    for _ in range(3):
        assert WAYS[way]("refund", {"on_review": "shadow"}) == 500
    (told,) = errors(caplog)
    assert "no policy" in told
    assert "shadow" in told
    with pytest.raises(ConfigurationError, match="no policy"):
        WAYS[way]("refund", {})


@way
def test_an_action_in_shadow_runs_beside_one_that_is_enforced(way: str) -> None:
    Provider(GuardConfig(actions={"refund": {"mode": "enforce"}}))
    assert WAYS[way]("report", {}) == 500
    with pytest.raises(ConfigurationError, match="no policy"):
        WAYS[way]("refund", {})
    assert WAYS[way]("report", {}) == 500


ENFORCED = {"refund": {"mode": "enforce"}}
# what `SUPERVISOR_GUARDS` says besides, and whether it is beyond doubt that reports are in shadow
DOUBTS: list[tuple[dict[str, Any], bool]] = [
    ({"SAMPLE_PERCENT": 101}, True),
    ({"ACTIONS": {**ENFORCED, "report": {"mode": "shadow"}}}, True),
    ({"ACTIONS": {**ENFORCED, "report": {"on_review": "block"}}}, True),
    ({"ACTIONS": {"report": {"mode": "shadow"}}, "MODE": "enforce"}, True),
    ({"ACTIONS": {"report": {"mode": "shadow"}}, "MODE": "enforced"}, True),
    ({"ACTIONS": {"report": {"mode": "shadow"}}, "MODE": "enforce", "MODEE": "enforce"}, True),
    ({"MODE": "enforce"}, False),
    ({"MODE": "enforced"}, False),
    ({"MODE": "sample"}, False),
    ({"TIMEOT": 5}, True),
    ({"MODEE": "enforce"}, False),
    ({"MODEE": " Enforce"}, False),
    ({"ACTION": {"report": {"mode": "enforce"}}}, False),
    ({"actions": {"report": {"mode": "sample"}}}, False),
    ({"RULE": [{"route": "POST /reports", "action": "report", "mode": "enforce"}]}, False),
    ({"RULE": [{"route": "POST /reports", "action": "report", "mode": "shadow"}]}, True),
    ({"ACTIONS": {"report": {"mod": ["Enforce"]}}}, False),
    ({"ACTIONS": {}, "mode": "enforce"}, False),
    ({"ACTIONS": {**ENFORCED, "report": {"mode": "enforced"}}}, False),
    ({"ACTIONS": {**ENFORCED, "report": {"mod": "enforce"}}}, False),
    ({"ACTIONS": {**ENFORCED, "report": {"mod": "on"}}}, False),
    ({"ACTIONS": {**ENFORCED, "report": "enforce"}}, False),
    ({"ACTIONS": {"report": {"MODE": "enforce"}}}, False),
    ({"ACTIONS": {"report": "enforce"}}, False),
    ({"ACTIONS": {"report": {"mode": "enforced"}}}, False),
    ({"ACTIONS": ["report"]}, False),
]


@pytest.mark.parametrize("number", range(len(DOUBTS)))
def test_in_doubt_about_the_mode_a_call_does_not_run(number: int) -> None:
    written, runs = DOUBTS[number]
    Provider(GuardConfig.from_mapping({"ACTIONS": ENFORCED, **written}, {}))
    if runs:
        assert supervised("report")(paid)(5) == 5
    else:
        with pytest.raises(ConfigurationError):
            supervised("report")(paid)(5)
    assert supervised("report", on_review="shadow")(paid)(5) == 5


@pytest.mark.parametrize("actions", [["refund"], "refund", 5, {"refund": "enforce"}, {"refund": None}])
def test_actions_that_cannot_be_read_are_told_as_any_other_fault(actions: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"actions.*give a mapping"):
        configure(actions=actions)


def test_a_reason_that_nobody_has_thought_of_stops_no_call_in_shadow(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Guard:
        raise RuntimeError("no guard today")

    provide_guard(broken, lambda: GuardConfig(actions=ENFORCED))
    assert supervised("report")(paid)(5) == 5
    assert "no guard today" in errors(caplog)[0]
    with pytest.raises(RuntimeError, match="no guard today"):
        supervised("refund")(paid)(5)


def test_settings_that_cannot_be_had_are_a_doubt() -> None:
    def broken() -> Any:
        raise RuntimeError("no settings today")

    provide_guard(broken, broken)
    assert supervised("report", on_review="shadow")(paid)(5) == 5
    with pytest.raises(RuntimeError, match="no settings today"):
        supervised("report")(paid)(5)


def test_calls_in_shadow_do_not_wait_for_one_attempt_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_default, "AGAIN_SECONDS", 600.0)
    provider = Provider(GuardConfig(actions=ENFORCED))
    report = supervised("report")(paid)
    assert [report(5) for _ in range(20)] == [5] * 20
    assert provider.tries == 1


class Waiting:
    """A provider whose attempts wait until `go`, and then fail."""

    def __init__(self) -> None:
        self.inside, self.go = threading.Event(), threading.Event()
        self.tries = 0
        config = GuardConfig(actions=ENFORCED)
        provide_guard(self, lambda: config)

    def __call__(self) -> Guard:
        self.tries += 1
        self.inside.set()
        self.go.wait()
        raise RuntimeError("no guard today")


class Counted:
    """A lock that tells once `number` have come for it."""

    def __init__(self, number: int) -> None:
        self._lock, self._left, self.full = threading.RLock(), itertools.count(number - 1, -1), threading.Event()

    def __enter__(self) -> None:
        if next(self._left) == 0:
            self.full.set()
        self._lock.acquire()

    def __exit__(self, *raised: object) -> None:
        self._lock.release()


def test_callers_that_wait_for_an_attempt_share_how_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_default, "AGAIN_SECONDS", 600.0)
    provider = Waiting()
    ended: list[Any] = []
    lock = Counted(20)
    monkeypatch.setattr(_default, "_lock", lock)

    def call(action: str) -> None:
        try:
            ended.append(supervised(action)(paid)(5))
        except RuntimeError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=call, args=(action,)) for action in ["report", "refund"] * 10]
    for thread in threads:
        thread.start()
    lock.full.wait()
    provider.go.set()
    for thread in threads:
        thread.join()
    assert sorted(map(str, ended)) == ["5"] * 10 + ["no guard today"] * 10
    assert provider.tries == 1


def test_while_one_call_tries_again_no_other_in_shadow_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Waiting()
    report = supervised("report")(paid)
    provider.go.set()
    assert report(5) == 5
    provider.go.clear()
    provider.inside.clear()
    monkeypatch.setattr(_default, "AGAIN_SECONDS", 600.0)
    again = threading.Thread(target=report, args=(5,))
    again.start()
    provider.inside.wait()
    assert report(5) == 5
    provider.go.set()
    again.join()
    assert provider.tries == 2


@pytest.mark.parametrize("again", [0.0, 600.0])
def test_calls_in_shadow_are_recorded_once_the_fault_is_mended(
    again: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_default, "AGAIN_SECONDS", again)
    Provider(GuardConfig(actions=ENFORCED))
    report, refund = supervised("report")(paid), supervised("refund")(paid)
    assert report(500) == 500
    (folder / "supervisor.yaml").write_text(POLICY)
    if again:  # else the next call tries
        with pytest.raises(SupervisorBlocked):
            refund(500)
    assert report(500) == 500
    assert get_guard().flush()
    rows = get_guard().supervisor.store.decisions()  # type: ignore[attr-defined]
    assert [row.would_have for row in rows if row.action_type == "report"] == ["deny"]
