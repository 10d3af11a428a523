"""`supervisor-guards routes`: which routes of an application are guarded, which are not, and which guards are idle."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from supervisor_guards import _default
from supervisor_guards._cli import applications, output, policies
from supervisor_guards._config import GuardConfig
from supervisor_guards.errors import ConfigurationError

if TYPE_CHECKING:
    from supervisor_guards.web import Coverage, Inspection, RouteInfo

READERS = "supervisor_guards.routes"
"""The entry points by which adapters say what they know of an application."""
_WEBSOCKET = "WEBSOCKET"
_WAYS_OUT = "give it a rule or a guard, or say why it needs none with supervised_exempt(reason=...)"


class Guarding(msgspec.Struct, frozen=True):
    """One action that guards a route: its mode, and whether a rule or the route itself asks."""

    action: str
    mode: str
    by: str


class Row(msgspec.Struct, frozen=True):
    """One route as the command lists it. `state` is guarded, UNGUARDED, exempt, opaque, or safe (nothing to guard)."""

    methods: tuple[str, ...] | None
    path: str | None
    names: tuple[str, ...]
    state: str
    guards: tuple[Guarding, ...]
    exempt_reason: str | None
    endpoint: str


@click.command()
@click.argument("application", metavar="MODULE:APP", required=False)
@click.option("--strict", is_flag=True, help="Exit code 1 too where a route that may change something is unguarded.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def routes(given: Inspection | None, application: str | None, strict: bool, as_json: bool) -> None:
    """List the routes of an application with the actions that guard them, and say which guards never run.

    MODULE:APP is imported from this folder: `shop.web:app`, or `shop.web:create_app()`. The application is not
    started, and no request is made. Exit code 1 where a rule matches no route or a guard can't take effect.
    Where the policy compares a number with what a rule sends as text, a warning says what to write.
    """
    from supervisor_guards import web

    if given is not None:  # a framework's own command has the application already
        found, application = given, application or "this application"
    elif application is None:
        raise click.UsageError("Missing argument 'MODULE:APP'.")
    else:
        found = _inspected(application, applications.load(application))
    coverage = web.audit(found.routes, found.rules)
    config = found.config or _config()
    rows = [_row(route, found, coverage, config) for route in found.routes]
    problems = [_here(problem) for problem in coverage.problems]
    if strict:
        problems += [f"{route} is unguarded: {_WAYS_OUT}" for route in coverage.unguarded]
    warnings = _warnings(found, config)
    code = coverage.exit_code(strict=strict)
    if as_json:
        output.print_json(
            {
                "application": application,
                "ok": code == output.FINE,
                "routes": [msgspec.to_builtins(row) for row in rows],
                "unguarded": len(coverage.unguarded),
                "problems": problems,
                "warnings": warnings,
            }
        )
    else:
        _print(rows, problems, warnings, coverage)
    if code != output.FINE:
        click.get_current_context().exit(code)


def _warnings(found: Inspection, config: GuardConfig) -> list[str]:
    """Where the policy compares with a number what a rule sends as text. A policy that can't be read says so."""
    from supervisor_guards.web import untyped_comparisons

    path = config.policy_path()
    if path is None:
        return []
    try:
        return untyped_comparisons(found.rules, policies.load(path))
    except ConfigurationError as error:
        return [f"the policy was not compared with the rules: {error}"]


def _inspected(written: str, app: Any) -> Inspection:
    """What the first adapter that knows such an application says. Ends the command where none does."""
    missing: list[str] = []
    for reader in sorted(metadata.entry_points(group=READERS), key=lambda one: one.name):
        try:
            inspect = reader.load()
        except ModuleNotFoundError as error:  # the framework of that adapter isn't installed
            missing.append(f"{reader.name} needs {error.name}")
            continue
        found: Inspection | None = inspect(app)
        if found is not None:
            return found
    without = f" (not looked at: {', '.join(missing)})" if missing else ""
    raise click.UsageError(
        f"{written!r} is {_described(app)}, no application that an adapter knows{without}; {_advice(written, app)}"
    )


def _described(app: Any) -> str:
    return f"the class {app.__name__}" if isinstance(app, type) else f"of type {type(app).__name__}"


def _advice(written: str, app: Any) -> str:
    if callable(app) and not written.endswith(")"):
        return f"if it makes the application, write '{written}()'"
    return "name the object that the server is given"


def _config() -> GuardConfig:
    """The settings of the guard that the application's import has made, else of the environment. Makes none."""
    guard = _default.made()
    return guard.config if guard is not None else GuardConfig.load()


def _row(route: RouteInfo, found: Inspection, coverage: Coverage, config: GuardConfig) -> Row:
    guards = tuple(_guards(route, found, coverage, config))
    if guards:
        state = "guarded"
    elif route.exempt_reason is not None:
        state = "exempt"
    elif route.opaque:
        state = "opaque"
    else:
        state = "UNGUARDED" if route.unsafe else "safe"
    methods = None if route.methods is None else tuple(sorted(route.methods))
    if methods is not None and _WEBSOCKET in methods:
        methods = (_WEBSOCKET,)  # its handshake is the GET beside it
    location = _here(route.endpoint_location)
    return Row(methods, route.template, route.names, state, guards, route.exempt_reason, location)


def _guards(route: RouteInfo, found: Inspection, coverage: Coverage, config: GuardConfig) -> Iterator[Guarding]:
    """A rule leaves the asking to the route's own guard of the same action, unless that one is put in shadow there."""
    (actions,) = [one.actions for one in coverage.covered if one.route is route] or [()]
    rules = {rule.action: rule for rule in found.rules.of(route)}
    for action in actions:
        rule = rules.get(action)
        own = route.modes.get(action)
        if rule is None or (action in route.actions and own != "shadow"):
            mode = config.terms(action, mode=own, in_request=True).mode
            yield Guarding(action, mode, "route")
        else:
            terms = config.terms(action, mode=rule.mode, on_review=rule.on_review, in_request=True)
            yield Guarding(action, terms.mode, "rule")


def _here(text: str) -> str:
    """`text` with the files of this folder named from here."""
    return text.replace(f"{Path.cwd()}/", "")


def _print(rows: list[Row], problems: list[str], warnings: list[str], coverage: Coverage) -> None:
    output.print_table(("methods", "route", "guarded by", "mode", "endpoint"), map(_cells, rows))
    for problem in problems:
        output.complain(problem)
    for warning in warnings:
        output.warn(warning)
    guarded, open_, exempt = len(coverage.covered), len(coverage.unguarded), len(coverage.exempt)
    click.echo(
        f"{output.counted(len(rows), 'route')}: {guarded} guarded, {open_} unguarded, {exempt} exempt; "
        f"{output.counted(len(problems), 'problem')}."
    )


def _cells(row: Row) -> tuple[str, ...]:
    methods = "any" if row.methods is None else ", ".join(row.methods)
    says = {
        "guarded": ", ".join(one.action for one in row.guards),
        "exempt": f"exempt: {row.exempt_reason}",
        "opaque": "opaque: can't be looked into",
        "safe": "-",
    }
    modes = ", ".join(one.mode for one in row.guards) or "-"
    route = row.path if row.path is not None else "/".join(row.names) or "?"
    return (methods, route, says.get(row.state, row.state), modes, row.endpoint or "-")
