"""`supervisor-guards demo`: the example agent in shadow, what would have been blocked, then one action enforced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from supervisor_guards._cli import first_look, output
from supervisor_guards._cli.decisions import last_id
from supervisor_guards._config import GuardConfig
from supervisor_guards._default import set_guard
from supervisor_guards._guard import Guard
from supervisor_guards.embedded.parts import STARTER
from supervisor_guards.embedded.rows import StoredDecision
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

ENFORCED = "refund"


@click.command()
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False),
    default=first_look.FOLDER,
    show_default=True,
    help="Where the demo keeps its decision log.",
)
def demo(state_dir: str) -> None:
    """Run an example agent in shadow, show what would have been blocked, then enforce one action."""
    folder = first_look.writable(Path(state_dir))
    with first_look.quiet():
        rows = _in_shadow(folder)
        refused = _enforced(folder)
    click.echo("An example agent worked through its tickets in shadow: every call was judged, none was stopped.")
    first_look.print_caught(rows)
    click.echo(f"\nThe same agent with one action, {ENFORCED}, in enforce; the others stay in shadow:")
    for line in refused:
        click.echo(f"  {output.safe(line)}")
    guard = ("Decorate your own functions", f'@supervised("{ENFORCED}"), and let them run in shadow')
    flip = f'configure(actions={{"{ENFORCED}": {{"mode": "enforce"}}}})'
    first_look.print_next_steps(folder, STARTER, guard, flip)


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
