"""`supervisor-guards demo`: the example agent in shadow, what would have been blocked, then one action enforced."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from supervisor_guards._cli import output
from supervisor_guards._cli.decisions import cells, label, last_id
from supervisor_guards._config import GuardConfig
from supervisor_guards._default import set_guard
from supervisor_guards._guard import Guard
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.folder import private_folder
from supervisor_guards.embedded.parts import STARTER
from supervisor_guards.embedded.rows import StoredDecision
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

ENFORCED = "refund"
_FOLDER = ".supervisor-demo"


@click.command()
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False),
    default=_FOLDER,
    show_default=True,
    help="Where the demo keeps its decision log.",
)
def demo(state_dir: str) -> None:
    """Run an example agent in shadow, show what would have been blocked, then enforce one action."""
    folder = _writable(Path(state_dir))
    with _quiet():
        rows = _in_shadow(folder)
        refused = _enforced(folder)
    caught = [row for row in rows if label(row) != "allow"]
    click.echo("An example agent worked through its tickets in shadow: every call was judged, none was stopped.")
    columns = ("action", "payload", "verdict", "rule", "reason")
    output.print_table(columns, map(cells, caught), title="What enforce would have blocked")
    count = Counter(map(label, rows))
    click.echo(
        f"{len(rows)} calls, all ran. Enforce would have let {count['allow']} pass, denied {count['would deny']} "
        f"and sent {count['would review']} to a reviewer."
    )
    click.echo(f"\nThe same agent with one action, {ENFORCED}, in enforce; the others stay in shadow:")
    for line in refused:
        click.echo(f"  {output.safe(line)}")
    click.echo(_next_steps(folder))


def _in_shadow(folder: Path) -> list[StoredDecision]:
    """The decisions on one run of the agent, in its order."""
    from supervisor_guards._cli import agent_loop

    config = GuardConfig(policy=str(STARTER), state_dir=str(folder))
    supervisor = EmbeddedSupervisor.from_config(config)
    with _guarding(Guard(config, supervisor)) as guard:
        before = last_id(supervisor.store)
        steps = list(agent_loop.run())
        guard.flush()
        return supervisor.store.decisions(len(steps), after=before)


def _enforced(folder: Path) -> list[str]:
    """What the agent was told where it was refused."""
    from supervisor_guards._cli import agent_loop

    config = GuardConfig(
        policy=str(STARTER),
        state_dir=str(folder),
        actions={ENFORCED: {"mode": "enforce", "on_review": "fail_closed"}},  # nobody is here to review
    )
    with _guarding(Guard(config)):
        return [f"{step.call.tool}: {step.answer}" for step in agent_loop.run() if not step.ran]


@contextmanager
def _guarding(guard: Guard) -> Iterator[Guard]:
    """Make `guard` the default one, which the agent's decorators ask, for the length of the block."""
    set_guard(guard)
    try:
        with closing(guard):
            yield guard
    finally:
        set_guard(None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log lines of the guard: the demo tells the same in its own words."""
    logger = logging.getLogger("supervisor_guards")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _writable(folder: Path) -> Path:
    """`folder`, private to this user; a temporary one where it can't be written."""
    try:
        private_folder(folder)
    except StoreUnavailable:
        return Path(tempfile.mkdtemp(prefix=_FOLDER))
    return folder if os.access(folder, os.W_OK | os.X_OK) else Path(tempfile.mkdtemp(prefix=_FOLDER))


def _command() -> str:
    """The command as it can be typed here: `make demo` doesn't put the environment on PATH."""
    name = "supervisor-guards"
    if shutil.which(name) is None and Path(sys.argv[0]).name == name:
        return shlex.quote(sys.argv[0])
    return name


def _next_steps(folder: Path) -> str:
    command = _command()
    return f"""
What to do next:
  1. Make the policy yours:        cp {shlex.quote(str(STARTER))} supervisor.yaml
  2. Check it, run its tests:      {command} policy check && {command} policy test
  3. Decorate your own functions:  @supervised("{ENFORCED}"), and let them run in shadow
  4. See what would be blocked:    {command} decisions
     (of this demo:                SUPERVISOR_STATE_DIR={shlex.quote(str(folder))} {command} decisions)
  5. Flip one action to enforce:   configure(actions={{"{ENFORCED}": {{"mode": "enforce"}}}})"""
