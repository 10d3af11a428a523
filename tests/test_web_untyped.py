"""Where a policy compares with a number what a rule sends as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervisor_guards.policy.source import PolicySource
from supervisor_guards.web import RouteRule, untyped_comparisons

POLICY = """
name: refund.web
version: 1
action: refund
rules:
  - id: cap
    when: payload.amount > 100
    action: deny
    reason: too-much
  - id: page
    when: payload.query.page > 5 or payload.path.id == 7 or payload.body.amount > 5
    action: deny
    reason: deep
"""


@pytest.fixture
def policies(tmp_path: Path) -> Any:
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    return PolicySource(tmp_path / "supervisor.yaml").current()


@pytest.mark.parametrize(
    ("route", "payload", "told"),
    [
        ("POST /x", ["query.amount"], "'query.amount:number'"),
        ("POST /x", ["amount=form.total"], "'amount=form.total:number'"),
        ("POST /x", ["header.amount"], "'header.amount:number'"),
        ("POST /x/{amount}", ["path.amount"], "'path.amount:number'"),
        ("POST /x/<amount>", ["path.amount"], "'path.amount:number'"),
        ("POST /x/{amount:int}", ["path.amount"], None),
        ("POST /x/<int:amount>", ["path.amount"], None),
        ("POST /x/<float(min=1):amount>", ["path.amount"], None),
        ("POST /x", ["query.amount:number"], None),
        ("POST /x", ["body.amount"], None),
        ("POST /x", ["query.page"], None),
        ("POST /x", dict, None),
        ("POST /x", None, "'query.<name>:number'"),
    ],
)
def test_text_where_a_number_is_compared(policies: Any, route: str, payload: Any, told: str | None) -> None:
    found = untyped_comparisons([RouteRule(route, "refund", payload=payload)], policies)
    assert len(found) == (told is not None)
    if told is not None:
        assert told in found[0]
        assert f"rule {route!r}" in found[0]
        assert "supervisor.yaml:" in found[0]


def test_another_action_s_rule_is_not_meant(policies: Any) -> None:
    assert untyped_comparisons([RouteRule("POST /x", "transfer", payload=["query.amount"])], policies) == []
