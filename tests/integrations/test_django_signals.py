"""Signals tell of decisions; a receiver that fails changes nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integrations import contract
from tests.integrations.django_client import DjangoHarness, guarded

from django.contrib.auth.models import User  # isort: skip

from supervisor_guards_django.signals import action_denied, action_evaluated, review_requested

CASES = {case.name: case for case in contract.CASES}
SIGNALS = {"evaluated": action_evaluated, "denied": action_denied, "review": review_requested}


@pytest.mark.parametrize(
    ("name", "mode", "told"),
    [
        ("allowed", "enforce", ["evaluated"]),
        ("denied", "enforce", ["denied", "evaluated"]),
        ("held", "enforce", ["evaluated", "review"]),
        ("denied", "shadow", ["evaluated"]),
    ],
)
def test_receivers_are_told_once(name: str, mode: str, told: list[str], tmp_path: Path) -> None:
    heard: list[tuple[str, str, Any]] = []
    receivers = {key: _receiver(key, heard) for key in SIGNALS}
    for key, signal in SIGNALS.items():
        signal.connect(receivers[key])
    try:
        with guarded(tmp_path, mode) as guard:
            DjangoHarness(guard, "wsgi").send(CASES[name])
            assert guard.flush()
            assert sorted(key for key, _, _ in heard) == told
            assert {sender for _, sender, _ in heard} == {"refund"}
            assert {event.route for _, _, event in heard} == {"POST /refunds/<str:order_id>"}
    finally:
        for key, signal in SIGNALS.items():
            signal.disconnect(receivers[key])


def test_a_receiver_that_raises_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Event()

    def failing(sender: str, event: Any, **kwargs: Any) -> None:
        assert not User.objects.filter(username="nobody").exists()
        called.set()
        raise RuntimeError("the receiver's own failure")

    action_denied.connect(failing)
    try:
        with guarded(tmp_path, "enforce") as guard:
            assert DjangoHarness(guard, "wsgi").send(CASES["denied"]).status == 403
            assert guard.flush()
            assert called.is_set()
            assert guard.stats().hook_errors == 0
    finally:
        action_denied.disconnect(failing)
    assert "a receiver of failing failed" in caplog.text


def _receiver(key: str, heard: list[tuple[str, str, Any]]) -> Any:
    def receiver(sender: str, event: Any, **kwargs: Any) -> None:
        heard.append((key, sender, event))

    return receiver
