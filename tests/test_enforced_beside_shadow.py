"""Settings that serve shadow, and a call or a rule that asks for more: what serves shadow only never judges it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor_guards import Decision, Guard, GuardConfig, SupervisorUnavailable
from supervisor_guards.web import make_guard

WAYS: dict[str, Callable[..., Decision]] = {
    "sync": lambda guard, action, payload, **mode: guard.check(action, payload, **mode),
    "async": lambda guard, action, payload, **mode: anyio.run(lambda: guard.acheck(action, payload, **mode)),
}
POLICY = """
name: mine
version: 1
action: refund
rules:
  - {id: cap, when: payload.amount > 100, action: deny, reason: too-much}
"""
UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no policy": ({}, "there is no policy"),
    "a service without a secret": ({"base_url": "https://supervisor.example", "app_id": "a"}, "not set: shared_secret"),
    "a service in the clear": (
        {"base_url": "http://supervisor.example", "app_id": "a", "shared_secret": "s" * 32},
        "http",
    ),
    "faults": ({"queue_size": 0, "base_url": "https://supervisor.example"}, "queue_size"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("SUPERVISOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def made() -> Iterator[Callable[..., Guard]]:
    guards: list[Guard] = []

    def make(**settings: Any) -> Guard:
        guards.append(make_guard(GuardConfig(**settings)))
        return guards[-1]

    yield make
    for guard in guards:
        guard.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("on_unavailable", ["fail_closed", "fail_open"])
@pytest.mark.parametrize("name", UNUSABLE)
def test_what_stands_in_for_shadow_enforces_nothing(
    name: str, on_unavailable: str, way: str, made: Callable[..., Guard]
) -> None:
    settings, said = UNUSABLE[name]
    guard = made(**settings, on_unavailable=on_unavailable)
    decision = WAYS[way](guard, "refund", {"amount": 5}, mode="enforce")
    assert isinstance(decision.error, SupervisorUnavailable)
    assert said in str(decision.error)
    assert WAYS[way](guard, "refund", {"amount": 5}).allowed
    assert guard.flush()
    assert guard.stats().by_would_have["allow"] == 1  # the starter policy has judged the one in shadow


def test_a_service_that_cannot_be_reached_is_not_replaced_by_the_policy_beside_it(
    folder: Path, made: Callable[..., Guard]
) -> None:
    (folder / "supervisor.yaml").write_text(POLICY)
    guard = made(base_url="https://supervisor.example", app_id="a")
    assert isinstance(guard.check("refund", {"amount": 5}, mode="enforce").error, SupervisorUnavailable)


@pytest.mark.parametrize("way", WAYS)
def test_a_policy_that_was_chosen_judges_it(way: str, folder: Path, made: Callable[..., Guard]) -> None:
    (folder / "supervisor.yaml").write_text(POLICY)
    guard = made()
    assert WAYS[way](guard, "refund", {"amount": 5}, mode="enforce").allowed
    assert WAYS[way](guard, "refund", {"amount": 500}, mode="enforce").reasons == ("too-much",)
