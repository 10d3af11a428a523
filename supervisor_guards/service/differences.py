"""What changed from one version of a policy to another: as text, and rule by rule. No I/O."""

from __future__ import annotations

import difflib
from typing import Any

from supervisor_guards._model import Outcome
from supervisor_guards.policy.engine import Policy, Rule

__all__ = ["MAX_LINES", "difference", "rule_item"]

MAX_LINES = 5_000
"""Longer texts are not compared line by line: it would take minutes."""


def difference(before: Policy, after: Policy) -> dict[str, Any]:
    """How `after` differs from `before`. `diff` is a unified diff, None where a text is too long for one."""
    old = {rule.id: rule_item(rule) for rule in before.rules}
    new = {rule.id: rule_item(rule) for rule in after.rules}
    kept = [name for name in new if name in old]
    return {
        "from": before.label,
        "to": after.label,
        "diff": _unified(before, after),
        "action_types": {
            "added": [name for name in after.actions if name not in before.actions],
            "removed": [name for name in before.actions if name not in after.actions],
        },
        "default": {"before": before.default.value, "after": after.default.value},
        "rules": {
            "added": [new[name] for name in new if name not in old],
            "removed": [old[name] for name in old if name not in new],
            "changed": [
                {"id": name, "before": old[name], "after": new[name]} for name in kept if old[name] != new[name]
            ],
        },
    }


def _unified(before: Policy, after: Policy) -> str | None:
    old, new = before.source.splitlines(), after.source.splitlines()
    if max(len(old), len(new)) > MAX_LINES:
        return None
    return "\n".join(difflib.unified_diff(old, new, before.label, after.label, lineterm=""))


def rule_item(rule: Rule) -> dict[str, str]:
    item = {
        "id": rule.id,
        "when": rule.condition.source,
        "action": rule.action.value,
        "reason": rule.reason,
        "explanation": rule.explanation,
    }
    return {**item, "priority": rule.priority} if rule.action is Outcome.REVIEW else item
