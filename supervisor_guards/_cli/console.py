"""`supervisor-guards console`: the embedded store in a browser on this machine."""

from __future__ import annotations

import dataclasses
import getpass
import socket
from contextlib import closing

import click

from supervisor_guards._cli import output
from supervisor_guards._cli.stores import existing_store, shown_url, store_url
from supervisor_guards._config import GuardConfig
from supervisor_guards._guard import Guard
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

_PORT = 8788


@click.command()
@click.option("--port", default=_PORT, show_default=True, type=click.IntRange(0, 65_535), help="Port; 0 is a free one.")
@click.option("--as", "name", metavar="NAME", help="Who decides reviews; else the user of this shell.")
def console(port: int, name: str | None) -> None:
    """Open the console on the embedded store: decisions, figures, reviews.

    It listens on this machine alone, and is opened by the link that is printed, once. Ctrl-C ends it.
    """
    try:
        import uvicorn

        from supervisor_guards.service.console.local import HOST, LocalConsole
        from supervisor_guards.service.console.visitors import Visitor
    except ModuleNotFoundError as error:
        output.fail(f"the console needs {error.name}: install the extra `service`")
    config = GuardConfig.load()
    existing_store(config).close()
    # It only looks and decides reviews: nothing is guarded here, so a policy that isn't there is no fault.
    config = dataclasses.replace(config, enforcement_mode="shadow", actions={})
    visitor = Visitor(name or _user(), "reviewer")
    with _listening(HOST, port) as listening:
        supervisor = EmbeddedSupervisor.from_config(config)
        with closing(Guard(config, supervisor)) as guard:
            local = LocalConsole(guard, visitor, listening.getsockname()[1])
            click.echo(f"The console on {shown_url(store_url(config))}, for {output.safe(visitor.name)}, opens once at")
            click.echo(f"\n  {local.link}\n\nCtrl-C ends it.")
            settings = uvicorn.Config(
                local.app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=1
            )
            uvicorn.Server(settings).run(sockets=[listening])


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name in the environment, and none for the number
        output.fail("nobody knows who you are here: give --as NAME")


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        output.fail(f"port {port} can't be had ({error.strerror}): give another with --port, or 0 for a free one")
