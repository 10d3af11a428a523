"""`supervisor-guards serve`, and `integrations`: the service and its callers, from the shell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from supervisor_guards._cli import output
from supervisor_guards.errors import ConfigurationError, SupervisorUnavailable

if TYPE_CHECKING:
    from supervisor_guards.service.core import Service

_OPTIONS = {"database": "SUPERVISOR_DATABASE_URL", "policy": "SUPERVISOR_POLICY"}
_BY = "command line"
_SHUTDOWN_SECONDS = 10


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8787, show_default=True, help="Port to listen on.")
@click.option("--database", metavar="URL", help="postgresql://... or sqlite:///PATH; else SQLite in .supervisor.")
@click.option("--policy", metavar="PATH", help="Policy to take in and promote; else supervisor.yaml, if it is there.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that serve.")
def serve(host: str, port: int, database: str | None, policy: str | None, workers: int) -> None:
    """Run the supervisor as a service for many applications."""
    _set(database=database, policy=policy)
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        output.fail(f"the service needs {error.name}: install the extra `service`")
    service = _opened()
    try:
        _greet(service, f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}")  # noqa: S104
    finally:
        service.close()
    uvicorn.run(
        "supervisor_guards.service.app:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="info",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


@click.group()
def integrations() -> None:
    """Applications that may ask the service."""


@integrations.command()
@click.argument("name")
@click.option("--scopes", default="*", show_default=True, help="Action types, separated by commas.")
@click.option("--resolves-own", is_flag=True, help="Let it decide its own reviews.")
@click.option("--per-minute", type=click.IntRange(0), help="Actions it may have judged in a minute; 0 is no limit.")
@click.option("--database", metavar="URL", help="The service's database.")
def create(name: str, scopes: str, resolves_own: bool, per_minute: int | None, database: str | None) -> None:
    """Make an integration, and print what its application needs. The secret is shown this once."""
    from supervisor_guards.service.integrations import NameTaken

    _set(database=database)
    service = _opened()
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    try:
        made, secret = service.integrations.create(
            name, wanted or ["*"], _BY, resolves_own=resolves_own, per_minute=per_minute
        )
    except NameTaken as error:
        output.fail(str(error))
    finally:
        service.close()
    click.echo(f"SUPERVISOR_BASE_URL=http://127.0.0.1:8787\nSUPERVISOR_APP_ID={made.id}\nSUPERVISOR_SECRET={secret}")


def _set(**given: str | None) -> None:
    """Options as environment, so that the processes that serve read the same."""
    for name, value in given.items():
        if value is not None:
            os.environ[_OPTIONS[name]] = value


def _opened() -> Service:
    try:
        from supervisor_guards.service.config import ServiceConfig
        from supervisor_guards.service.core import Service

        return Service(ServiceConfig.load())
    except ModuleNotFoundError as error:
        output.fail(f"the service needs {error.name}: install the extra `service`")
    except (ConfigurationError, SupervisorUnavailable) as error:
        output.fail(str(error))


def _greet(service: Any, address: str) -> None:
    """Say where it is, who the administrator is, and what an application needs."""
    from supervisor_guards.service.tokens import first_admin_token

    click.echo(f"supervisor at {address}")
    if service.config.admin_token is None:
        token = first_admin_token(service.store)
        if token is not None:
            click.echo(f"administrator's token, shown this once:\n  {token}")
    if not service.integrations.list():
        click.echo(
            "An application needs three lines; this makes them:\n  supervisor-guards integrations create my-shop"
        )
