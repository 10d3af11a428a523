"""`manage.py supervisor_guards`: routes and checks of this project, and the engine's commands with its settings."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.core.checks import ERROR, run_checks
from django.core.management.base import BaseCommand, CommandError

from supervisor_guards.errors import ConfigurationError
from supervisor_guards.web import ENGINE_COMMANDS, SETTING, run_command
from supervisor_guards_django import conf
from supervisor_guards_django.routes import audit

_COMMANDS = ("routes", "check", *ENGINE_COMMANDS)


class Command(BaseCommand):
    """Exit codes: 0 fine, 1 a problem was found, 2 wrong usage."""

    help = "Routes and their guards, checks, reviews and decisions. Commands: " + ", ".join(_COMMANDS)
    requires_system_checks: Any = ()

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("name", choices=_COMMANDS, metavar="command", help=", ".join(_COMMANDS))
        parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="its arguments; --help lists them")

    def handle(self, *args: Any, **options: Any) -> None:
        name, words = options["name"], _without_django_options(options["words"])
        if name in ENGINE_COMMANDS:
            try:
                config = conf.engine_config()
            except ConfigurationError as error:
                raise CommandError(str(error)) from error
            run_command(config, name, words, "manage.py supervisor_guards")
            return
        parser = argparse.ArgumentParser(prog=f"manage.py supervisor_guards {name}")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")
        parser.add_argument("--strict", action="store_true", help="what is no fault, but a gap, counts as one")
        given = parser.parse_args(words)
        found = self._routes(given.json, given.strict) if name == "routes" else self._check(given.json, given.strict)
        if found:
            raise CommandError(found, returncode=1)

    def _routes(self, as_json: bool, strict: bool) -> str:
        coverage = audit()
        states = [
            *((one.route, "guarded", ", ".join(one.actions)) for one in coverage.covered),
            *((one, "exempt", one.exempt_reason or "") for one in coverage.exempt),
            *((one, "unguarded", "") for one in coverage.unguarded),
        ]
        for route, state, note in states:
            methods = sorted(route.methods) if route.methods is not None else None
            row = {"route": route.template, "methods": methods, "name": route.names[0], "state": state, "note": note}
            if as_json:
                self.stdout.write(json.dumps(row))
            else:
                self.stdout.write(f"{state:10} {','.join(methods or ['*']):16} {route.template}  {note}".rstrip())
        problems = [*coverage.problems]
        if strict and coverage.unguarded:
            problems.append(f"{len(coverage.unguarded)} routes that may change something are unguarded")
        return "\n".join(problems)

    def _check(self, as_json: bool, strict: bool) -> str:
        found = run_checks(tags=["supervisor_guards"], databases=[])
        for one in found:
            row = {"id": one.id, "message": one.msg, "hint": one.hint}
            self.stdout.write(json.dumps(row) if as_json else f"{one.id}: {one.msg}\n    {one.hint}")
        bad = [one for one in found if strict or one.level >= ERROR]
        return f"{len(bad)} problems in {SETTING}" if bad else ""


def _without_django_options(words: list[str]) -> list[str]:
    """`words` without what manage.py itself has understood already, wherever it stood."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--settings", "--pythonpath", "--verbosity"):
        parser.add_argument(option)
    for flag in ("--no-color", "--force-color", "--traceback", "--skip-checks"):
        parser.add_argument(flag, action="store_true")
    return parser.parse_known_args(words)[1]
