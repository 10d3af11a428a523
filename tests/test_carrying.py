"""What guarded calls know of their surroundings, as text for another process, and back."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from engine import default_guard, rows, settings

from supervisor_guards import ApprovalInvalid, approved, guarded, observe, observing
from supervisor_guards.context import current_context, export_context, restored_context
from supervisor_guards.web import RequestFacts, User, serving

ADA = RequestFacts("POST", "POST /refunds", user=User("ada", groups=("support",), tenant="acme"))


def test_nothing_known_is_no_text() -> None:
    assert export_context() is None
    with restored_context(None):
        assert current_context() is None


def test_the_text_brings_all_of_it_to_another_place(tmp_path: Path) -> None:
    with serving(ADA), observing(goal="pay the bill"):
        text = export_context()
    assert isinstance(text, str)
    with default_guard(settings(tmp_path)) as guard, restored_context(text):
        guarded("refund", {"amount": 1}, lambda: None)
        assert export_context() == text
        assert guard.flush()
        (row,) = rows(guard)
    assert (row.subject, row.route, row.tenant) == ("ada", "POST /refunds", "acme")
    assert json.loads(row.context) == {"goal": "pay the bill"}


def test_policies_read_the_same_request(tmp_path: Path) -> None:
    policy = """
name: p
version: 1
action: refund
rules: [{id: support, when: "'support' not in request.user.groups", action: deny, reason: not-support}]
"""
    with serving(ADA):
        text = export_context()
    with default_guard(settings(tmp_path, policy=policy)), restored_context(text):
        assert guarded("refund", {"amount": 1}, lambda: "ran") == "ran"


def test_approvals_travel(tmp_path: Path) -> None:
    with approved("no-such-approval"):
        text = export_context()
    with default_guard(settings(tmp_path)), restored_context(text), pytest.raises(ApprovalInvalid):
        guarded("refund", {"amount": 5_000}, lambda: None)


def test_a_block_takes_what_is_outside_away_and_gives_it_back() -> None:
    with serving(ADA), observing(goal="outer"):
        before = export_context()
        for text in (None, '{"version":1,"context":{"goal":"inner"}}'):
            with suppress(LookupError), restored_context(text):
                assert export_context() == text
                observe(more="inside")
                raise LookupError
            assert export_context() == before


@pytest.mark.parametrize(
    "text", ["", "ada", "{}", "[]", '{"version":2}', '{"version":1,"facts":"ada"}', '{"version":1,"approvals":[1]}']
)
def test_what_is_no_such_text_is_an_error_and_changes_nothing(text: str) -> None:
    with observing(goal="outer"):
        with pytest.raises(ValueError, match="no exported context"):
            restored_context(text)
        assert current_context() == {"goal": "outer"}


@pytest.mark.parametrize("odd", [float("nan"), "\ud800", {1, 2}, Path("x"), 2**80, "x" * 100_000, object()])
def test_whatever_was_observed_can_travel(odd: Any) -> None:
    with observing(odd=odd, plain="yes"):
        text = export_context()
    with restored_context(text):
        found = current_context()
        assert found is not None
        assert found["plain"] == "yes"
        assert len(export_context() or "") < 70_000
