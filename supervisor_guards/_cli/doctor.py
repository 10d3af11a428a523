"""`supervisor-guards doctor`: what is configured, from where, and what is wrong with it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import click
import msgspec

from supervisor_guards._cli import output
from supervisor_guards._cli.checks import Check, check_key, check_policy, check_settings, check_store
from supervisor_guards._cli.stores import shown_url
from supervisor_guards._config import GuardConfig

_SECRETS = ("shared_secret", "reviewer_token")
_IN_CODE_ONLY = ("actions", "sample_key", "faults")


class Setting(msgspec.Struct, frozen=True):
    """One setting as it holds: `source` is the environment variable it came from, or `default`."""

    name: str
    value: Any
    source: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(as_json: bool) -> None:
    """Say what is configured, from where, and what is wrong. Exit code 1 when something is.

    It sees the environment and this folder, as an application started here would; what a program passes to
    `configure(...)` it can't see.
    """
    config = GuardConfig.load()
    policy_check, action_types = check_policy(config)
    checks = [check_settings(config), policy_check, *check_store(config), check_key(config)]
    modes = {action_type: config.terms(action_type).mode for action_type in action_types}
    healthy = all(check.state != "problem" for check in checks)
    if as_json:
        output.print_json(
            {
                "ok": healthy,
                "settings": [msgspec.to_builtins(setting) for setting in settings(config, os.environ)],
                "checks": [msgspec.to_builtins(check) for check in checks],
                "modes": modes,
            }
        )
    else:
        _print(config, checks, modes)
    if not healthy:
        click.get_current_context().exit(output.PROBLEM)


def settings(config: GuardConfig, environ: Mapping[str, str]) -> list[Setting]:
    """Every setting that can come from the environment; secrets are only said to be set."""
    found = []
    for field in dataclasses.fields(config):
        variable = field.metadata.get("env")
        if field.name in _IN_CODE_ONLY or variable is None:
            continue
        value = getattr(config, field.name)
        if value is not None and field.name in _SECRETS:
            value = "(set)"
        elif value is not None and field.name == "database_url":
            value = shown_url(value)
        given = bool(environ.get(variable, "").strip())
        found.append(Setting(field.name, value, variable if given else "default"))
    return found


def _print(config: GuardConfig, checks: list[Check], modes: Mapping[str, str]) -> None:
    rows = [(s.name, _text(s.value), s.source) for s in settings(config, os.environ)]
    output.print_table(("setting", "value", "from"), rows, title="Settings")
    if modes:
        output.print_table(("action", "mode"), modes.items(), title="Mode of each action of the policy")
    found = [(check.name, check.state, detail) for check in checks for detail in check.details]
    output.print_table(("check", "state", "detail"), found, title="Checks")
    wrong = sum(len(check.details) for check in checks if check.state == "problem")
    click.echo(f"{output.counted(wrong, 'problem')}: see above." if wrong else "Nothing is wrong.")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value) or "-"
