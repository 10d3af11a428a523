"""`supervisor-guards policy`: check a policy, run the tests it holds, show its rules."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from supervisor_guards._cli import output, policies
from supervisor_guards._config import GuardConfig
from supervisor_guards._model import Outcome
from supervisor_guards._redaction import Redactor

if TYPE_CHECKING:
    from supervisor_guards.policy.engine import Policy, Rule

_PROBE = "x"
_path = click.argument("path", required=False, metavar="[PATH]")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group(cls=output.Commands, invoke_without_command=True)
@click.pass_context
def policy(context: click.Context) -> None:
    """Check, test and show policies.

    PATH is a policy file or folder; without it the configured one (SUPERVISOR_POLICY, else supervisor.yaml
    here), else the starter that ships with the package.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@policy.command()
@_path
@click.option("--redact", is_flag=True, help="List rules that read a field which is redacted on its way to a service.")
@_json
def check(path: str | None, redact: bool, as_json: bool) -> None:
    """Load the policy and say what is wrong with it, with file, line and rule."""
    from supervisor_guards.policy.engine import rules_reading

    config = GuardConfig.load()
    file, source = policies.chosen(path, config)
    loaded = policies.load(file)
    redactor = Redactor(config.redact, allow=config.redact_allow or None)
    readings = list(rules_reading(loaded, partial(hides, redactor))) if redact else []
    rules = sum(len(one.rules) for one in loaded.policies)
    if as_json:
        counts = {"policies": len(loaded.policies), "rules": rules, "warnings": list(loaded.warnings)}
        reads = [{"rule": r.rule.id, "policy": r.policy.label, "fields": sorted(r.fields)} for r in readings]
        output.print_json({"path": str(file), **counts, **({"redacted": reads} if redact else {})})
    else:
        size = f"{output.counted(len(loaded.policies), 'policy', 'policies')}, {output.counted(rules, 'rule')}"
        click.echo(f"{file} ({source}): {size}, no faults.")
        for warning in loaded.warnings:
            click.echo(f"Warning: {output.safe(warning)}", err=True)
        for reading in readings:
            click.echo(f"{output.safe(str(reading))}: redacted on its way to a service, where the rule then fails")
        if redact and not readings:
            click.echo("No rule reads a redacted field.")
    if readings:
        click.get_current_context().exit(output.PROBLEM)


@policy.command()
@_path
@_json
def test(path: str | None, as_json: bool) -> None:
    """Run the tests stored in the policy. Exit code 1 when one fails."""
    from supervisor_guards.policy.engine import run_tests

    file, source = policies.chosen(path)
    loaded = policies.load(file)
    failures = [str(failure) for failure in run_tests(loaded)]
    count = sum(len(p.tests) for p in loaded.policies)
    if as_json:
        output.print_json({"path": str(file), "tests": count, "failures": failures})
    else:
        click.echo(f"{file} ({source}): {output.counted(count, 'test')}, {len(failures)} failed.")
        for failure in failures:
            output.complain(failure)
    if failures:
        click.get_current_context().exit(output.PROBLEM)


@policy.command()
@_path
@_json
def show(path: str | None, as_json: bool) -> None:
    """Show the rules by action type."""
    file, source = policies.chosen(path)
    loaded = policies.load(file)
    if as_json:
        output.print_json({"path": str(file), "policies": [_described(p) for p in loaded.policies]})
        return
    click.echo(f"{file} ({source})")
    for one in loaded.policies:
        rows = [
            (rule.id, _verdict(rule), rule.condition.source, rule.reason, rule.explanation or "-") for rule in one.rules
        ]
        title = f"{one.label}: {', '.join(one.actions)}; default {one.default.value}"
        output.print_table(("rule", "verdict", "when", "reason", "explanation"), rows, title)


def hides(redactor: Redactor, path: str) -> bool:
    """Whether `redactor` hides the value at `path` (`payload.card.number`) for its name, whatever it holds."""
    root, *names = path.split(".")
    if root == "request" or not names:  # what an adapter knows, and the payload as a whole, have no name to go by
        return False
    value: Any = _PROBE
    for name in reversed(names):
        value = {name: value}
    hidden: Any = redactor.redact(value)
    for name in names:
        if not isinstance(hidden, dict) or name not in hidden:
            return True
        hidden = hidden[name]
    return bool(hidden != _PROBE)


def _verdict(rule: Rule) -> str:
    """The rule's, with a priority that isn't the usual one."""
    return rule.action.value if rule.priority == "normal" else f"{rule.action.value}, {rule.priority}"


def _described(one: Policy) -> dict[str, Any]:
    rules = [
        {
            "id": rule.id,
            "action": rule.action.value,
            "when": rule.condition.source,
            "reason": rule.reason,
            "explanation": rule.explanation,
            "priority": rule.priority if rule.action is Outcome.REVIEW else None,
            "fields": sorted(rule.fields),
        }
        for rule in one.rules
    ]
    return {
        "name": one.name,
        "version": one.version,
        "actions": list(one.actions),
        "default": one.default.value,
        "rules": rules,
        "tests": len(one.tests),
        "hash": one.hash,
    }
