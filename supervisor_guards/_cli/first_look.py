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


def print_next_steps(folder: Path, policy: Path, guard: str, flip: str) -> None:
    """How to go on: `policy` is the file to start from, `guard` says how to guard, `flip` how to enforce."""
    command = command_name()
    click.echo(f"""
What to do next:
  1. Make the policy yours:        cp {shlex.quote(str(policy))} supervisor.yaml
  2. Check it, run its tests:      {command} policy check && {command} policy test
  3. {guard}
  4. See what would be blocked:    {command} decisions
     (of this demo:                SUPERVISOR_STATE_DIR={shlex.quote(str(folder))} {command} decisions)
  5. Flip one action to enforce:   {flip}""")


def command_name() -> str:
    """The command as it can be typed here: `make demo` doesn't put the environment on PATH."""
    name = "supervisor-guards"
    if shutil.which(name) is not None:
        return name
    beside = Path(sys.argv[0]) if Path(sys.argv[0]).name == name else Path(sys.executable).with_name(name)
    if not beside.is_file():
        return name
    return shlex.quote(os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside))
