"""The `supervisor-guards` command. Exit codes: 0 fine, 1 a problem was found, 2 wrong usage."""

from __future__ import annotations

import click

from supervisor_guards._cli.backup import backup, export
from supervisor_guards._cli.console import console
from supervisor_guards._cli.decisions import decisions
from supervisor_guards._cli.demo import demo
from supervisor_guards._cli.doctor import doctor
from supervisor_guards._cli.integrations import integrations
from supervisor_guards._cli.output import Commands
from supervisor_guards._cli.people import people
from supervisor_guards._cli.policy import policy
from supervisor_guards._cli.replay import replay
from supervisor_guards._cli.reviews import reviews
from supervisor_guards._cli.routes import routes
from supervisor_guards._cli.serve import serve
from supervisor_guards._cli.verify import purge, verify

__all__ = ["main"]


@click.group(
    cls=Commands,
    name="supervisor-guards",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="supervisor-guards")
@click.pass_context
def main(context: click.Context) -> None:
    """One check in front of risky actions: try it, judge recorded actions, read the decision log."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (
    demo, console, policy, replay, decisions, export, backup, reviews, verify, purge, doctor, routes, serve,
    integrations, people,
):  # fmt: skip
    main.add_command(_command)

if __name__ == "__main__":
    main(prog_name="supervisor-guards")
