"""What every demo prints, and where it keeps its log: `supervisor-guards demo` and the example applications."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from supervisor_guards._cli import output
from supervisor_guards._cli.decisions import cells, label
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.folder import private_folder
from supervisor_guards.embedded.rows import StoredDecision

FOLDER = ".supervisor-demo"


@contextmanager
def quiet() -> Iterator[None]:
    """Without the log lines of the guard: the demo tells the same in its own words."""
    logger = logging.getLogger("supervisor_guards")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def writable(folder: Path) -> Path:
    """`folder`, private to this user; a temporary one where it can't be written."""
    try:
        private_folder(folder)
    except StoreUnavailable:
        return Path(tempfile.mkdtemp(prefix=FOLDER))
    return folder if os.access(folder, os.W_OK | os.X_OK) else Path(tempfile.mkdtemp(prefix=FOLDER))


def print_caught(rows: Sequence[StoredDecision]) -> None:
    """What of `rows`, decided in shadow, enforce would have blocked, and how many of each there are."""
    caught = [row for row in rows if label(row) != "allow"]
    columns = ("action", "payload", "verdict", "rule", "reason")
    output.print_table(columns, map(cells, caught), title="What enforce would have blocked")
    count = Counter(map(label, rows))
    click.echo(
        f"{len(rows)} calls, all ran. Enforce would have let {count['allow']} pass, denied {count['would deny']} "
        f"and sent {count['would review']} to a reviewer."
    )


def print_next_steps(folder: Path, policy: Path, guard: tuple[str, str], flip: str, *more: tuple[str, str]) -> None:
    """How to go on: copy `policy`, guard as `guard` says, enforce as `flip` says. Steps are a label and a text."""
    command = command_name()
    log = f"{command} decisions"
    state = f"SUPERVISOR_STATE_DIR={shlex.quote(str(folder))}"
    steps = [
        ("Make the policy yours", f"cp {_path(policy)} supervisor.yaml"),
        ("Check it, run its tests", f"{command} policy check && {command} policy test"),
        guard,
        ("See what would be blocked", log),
        ("Flip one action to enforce", flip),
        *more,
    ]
    click.echo("\nWhat to do next:")
    for number, (step, text) in enumerate(steps, start=1):
        click.echo(f"  {number}. {step + ':':<30}{text}")
        if text == log:
            click.echo(f"     {'(of this demo:':<30}{state} {log})")
    click.echo(f"\nAll of it in a browser, with its figures: {state} {command} console")


def command_name() -> str:
    """The command as it can be typed here: `make demo` doesn't put the environment on PATH."""
    name = "supervisor-guards"
    if shutil.which(name) is not None:
        return name
    beside = Path(sys.argv[0]) if Path(sys.argv[0]).name == name else Path(sys.executable).with_name(name)
    if not beside.is_file():
        return name
    return _path(beside)


def _path(path: Path) -> str:
    """`path` for a shell, from here where it is in this folder."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
