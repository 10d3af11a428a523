"""`supervisor-guards serve`: the service, from the shell."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from supervisor_guards._cli import output
from supervisor_guards._cli.service import BY, opened, set_environment, three_lines

if TYPE_CHECKING:
    from supervisor_guards.service.core import Service

_FIRST = "default"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""What prometheus-client reads when it is imported, in each process that serves."""
_SHUTDOWN_SECONDS = 10
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104  (looked for, not listened on)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8787, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option("--database", metavar="URL", help="postgresql://... or sqlite:///PATH; else SQLite in .supervisor.")
@click.option("--policy", metavar="PATH", help="Policy to take in and promote; else supervisor.yaml, if it is there.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that serve.")
def serve(host: str, port: int, database: str | None, policy: str | None, workers: int) -> None:
    """Run the supervisor as a service for many applications."""
    set_environment(database=database, policy=policy)
    try:
        import uvicorn

        from supervisor_guards.service import logs
    except ModuleNotFoundError as error:
        output.fail(f"the service needs {error.name}: install the extra `service`")
    _check_free(host, port)  # before secrets are made, and shown this once
    service = opened()
    try:
        service.take_in_policy()
        _greet(service, _address(host, port))
        log_config = logs.configuration(service.config.log_format)
    finally:
        service.close()
    with _counted_together(workers):
        uvicorn.run(
            "supervisor_guards.service.app:create_app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_config=log_config,
            access_log=False,
            server_header=False,
            # Who is believed about the caller is `trusted_proxies`' to say, and that needs the address of the peer.
            proxy_headers=False,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )


@contextmanager
def _counted_together(workers: int) -> Iterator[None]:
    """A folder in which the processes count for `/metrics`, so that whichever is asked tells the sums of all."""
    if workers == 1 or FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="supervisor-guards-metrics-") as folder:
        os.environ[FOLDER] = folder
        yield


def _check_free(host: str, port: int) -> None:
    """Say in one line where nobody can listen at `host` and `port`; the server itself finds out last."""
    found: list[Any] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, place in found:
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind(place)
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL) and len(found) > 1:
            return  # a machine without IPv6, which the server passes over
        output.fail(
            f"can't listen on {host!r}, port {port}: {error.strerror}; choose others with --host and --port, or end "
            "what listens there"
        )


def _address(host: str, port: int) -> str:
    """Where a program on this machine finds the service."""
    name = "127.0.0.1" if host in _ANY_ADDRESS else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def _greet(service: Service, address: str) -> None:
    """Say where it is; at the first start also who the administrator is, and what an application needs.

    Where the settings bring an administrator's token, somebody manages this service: what it prints may be kept in
    logs, so no secret is made that nobody asked for.
    """
    from supervisor_guards.service.tokens import first_admin_token

    click.echo(f"supervisor at {address}")
    if service.config.admin_token is not None:
        if not service.integrations.any():
            click.echo("An application needs three lines; this makes them: supervisor-guards integrations create NAME")
        return
    token = first_admin_token(service.store)
    if token is None:
        return
    click.echo(f"\nThe administrator's token, shown this once:\n\n  {token}")
    made = service.integrations.first(_FIRST, BY)
    if made is not None:
        lines = three_lines(address, *made).replace("\n", "\n  ")
        click.echo(f"\nThe three lines that an application needs, shown this once:\n\n  {lines}\n")
