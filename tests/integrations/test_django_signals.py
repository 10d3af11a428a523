"""Signals tell of decisions; a receiver that fails changes nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integrations import contract
from tests.integrations.django_client import DjangoHarness, guarded

from django.contrib.auth.models import User  # isort: skip

from supervisor_guards.web import Principal, ReviewQuery
from supervisor_guards_django.signals import action_denied, action_evaluated, review_requested, review_resolved

CASES = {case.name: case for case in contract.CASES}
SIGNALS = {
    "evaluated": action_evaluated,
    "denied": action_denied,
    "review": review_requested,
    "resolved": review_resolved,
}


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


def test_the_end_of_a_review_is_told_by_a_signal_of_its_own(tmp_path: Path) -> None:
    heard: list[tuple[str, str, Any]] = []
    ended = threading.Event()

    def resolved(sender: str, event: Any, **kwargs: Any) -> None:
        heard.append(("resolved", sender, event))
        ended.set()

    evaluated = _receiver("evaluated", heard)
    with guarded(tmp_path, "enforce") as guard:
        DjangoHarness(guard, "wsgi").send(CASES["held"])
        assert guard.flush()
        review_resolved.connect(resolved)
        action_evaluated.connect(evaluated)
        try:
            (case,) = guard.desk().find_reviews(ReviewQuery()).rows
            guard.desk().resolve(case.action_id, "rejected", "not this week", Principal("bob"))
            assert ended.wait(30)
        finally:
            review_resolved.disconnect(resolved)
            action_evaluated.disconnect(evaluated)
    (told,) = heard
    assert told[:2] == ("resolved", "refund")
    assert (told[2].status, told[2].approver, told[2].notes) == ("rejected", "bob", "not this week")


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
