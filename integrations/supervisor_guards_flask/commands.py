"""`flask supervisor-guards`: routes and checks of this application, and the engine's commands with its settings."""

from __future__ import annotations

import json
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup

from supervisor_guards.web import ENGINE_COMMANDS, Inspection, run_command
from supervisor_guards_flask.application import Guarded, guarded_of
from supervisor_guards_flask.checks import check as check_all
from supervisor_guards_flask.checks import order_of_hooks
from supervisor_guards_flask.routes import inspect_app

PROGRAM = "flask supervisor-guards"
_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
_HELP = {
    "routes": "List the routes with the actions that guard them.",
    "reviews": "List the reviews, or act on one.",
    "approve": "Approve a held action.",
    "reject": "Reject a held action.",
    "decisions": "List recorded decisions.",
    "purge": "Delete old decisions.",
    "doctor": "Look at settings, policy and store.",
}


def group() -> AppGroup:
    """The commands, for one application. Exit codes: 0 fine, 1 a problem was found, 2 wrong usage."""
    found = AppGroup("supervisor-guards", help="Routes and their guards, checks, reviews and decisions.")
    for name in ("routes", *ENGINE_COMMANDS):
        found.add_command(_engine_command(name))
    found.add_command(check)
    return found


def _engine_command(name: str) -> click.Command:
    @click.pass_context
    def run(context: click.Context) -> None:
        guarded = _guarded()
        inspection: Inspection | None = inspect_app(guarded.app) if name == "routes" else None
        run_command(guarded.settings.config, name, context.args, PROGRAM, inspection)

    command = click.Command(name, callback=run, context_settings=_PASS_ON, help=f"{_HELP[name]} --help lists options.")
    return _with_app(command)


def _with_app(command: click.Command) -> click.Command:
    from flask.cli import with_appcontext

    assert command.callback is not None
    command.callback = with_appcontext(command.callback)
    return command


@click.command("check")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--strict", is_flag=True, help="Warnings count as problems.")
def _check(as_json: bool, strict: bool) -> None:
    """Look over settings, rules, routes, policy, store and the order of hooks."""
    guarded = _guarded()
    found = check_all(guarded)
    hooks = order_of_hooks(guarded.app)
    bad = [*found.problems, *(found.warnings if strict else ())]
    if as_json:
        row: dict[str, Any] = {"ok": not bad, "problems": found.problems, "warnings": found.warnings}
        click.echo(json.dumps({**row, "before_request": hooks}))
    else:
        for problem in found.problems:
            click.echo(f"problem: {problem}", err=True)
        for warning in found.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"before_request, in this order: {', '.join(hooks)}")
        click.echo(f"{len(found.problems)} problems, {len(found.warnings)} warnings")
    if bad:
        click.get_current_context().exit(1)


check = _with_app(_check)


def _guarded() -> Guarded:
    found = guarded_of(current_app)
    if found is None:
        raise click.ClickException("this application has no SupervisorGuards: call init_app(app)")
    return found
