"""The dict `SUPERVISOR_GUARDS`: whether it asks for more than shadow, also where it can't be read as it is meant."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from supervisor_guards import ConfigurationError
from supervisor_guards.web import read_settings
from supervisor_guards_flask import SupervisorGuards

RULE = {"route": "POST /refunds", "action": "refund"}
ENFORCING: list[dict[str, Any]] = [
    {"RULES": [{**RULE, "mode": "enforce"}]},
    {"RULES": (each for each in [{**RULE, "mode": "enforce"}])},
    {"RULES": {**RULE, "mode": "enforce"}},
    {"RULES": [{**RULE, "mode": "enforced"}]},
    {"RULES": [{**RULE, "Mode": "enforce"}]},
    {"RULES": [{**RULE, "mod": "Sample"}]},
    {"RULES": [[{**RULE, "mode": "enforce"}]]},
    {"RULE": [{**RULE, "mode": "enforce"}]},
    {"ACTION": {"refund": {"mode": "enforce"}}},
]
OBSERVING: list[dict[str, Any]] = [
    {"RULES": [{**RULE, "mode": "shadow"}]},
    {"RULES": {**RULE, "mode": "shadow"}},
    {"RULES": [{**RULE, "mod": "shadow"}]},
    {"RULES": [{**RULE, "action": "enforce"}]},
    {"RULE": [RULE]},
]


@pytest.mark.parametrize("number", range(len(ENFORCING)))
def test_in_doubt_the_settings_enforce(number: int) -> None:
    written = ENFORCING[number]
    assert read_settings(written, {}).enforces
    assert not read_settings(written, {"SUPERVISOR_FORCE_SHADOW": "1"}).enforces


@pytest.mark.parametrize("number", range(len(OBSERVING)))
def test_what_asks_for_shadow_alone_is_no_doubt(number: int) -> None:
    assert not read_settings(OBSERVING[number], {}).enforces


@pytest.mark.parametrize("written", ENFORCING[2:])
def test_an_application_with_such_settings_does_not_start(written: dict[str, Any]) -> None:
    app = Flask("doubtful")
    app.config["SUPERVISOR_GUARDS"] = written
    with pytest.raises(ConfigurationError):
        SupervisorGuards(app)
