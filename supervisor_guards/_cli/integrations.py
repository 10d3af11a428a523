"""`supervisor-guards integrations`: the applications that may ask the service, from the shell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from supervisor_guards._cli import output
from supervisor_guards._cli.service import BY, opened, set_environment, three_lines

if TYPE_CHECKING:
    from supervisor_guards.service.integrations import Integrations

_database = click.option("--database", metavar="URL", help="The service's database; else SQLite in .supervisor.")
_url = click.option(
    "--url", default="http://127.0.0.1:8787", show_default=True, help="Where the application finds the service."
)


@click.group()
def integrations() -> None:
    """Applications that may ask the service."""


@integrations.command()
@click.argument("name")
@click.option("--scopes", default="*", show_default=True, help="Action types, separated by commas.")
@click.option("--resolves-own", is_flag=True, help="Let it decide its own reviews.")
@click.option("--per-minute", type=click.IntRange(0), help="Actions it may have judged in a minute; 0 is no limit.")
@_url
@_database
def create(name: str, scopes: str, resolves_own: bool, per_minute: int | None, url: str, database: str | None) -> None:
    """Make an integration, and print what its application needs. The secret is shown this once."""
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    with _integrations(database) as known:
        made, secret = known.create(name, wanted or ["*"], BY, resolves_own=resolves_own, per_minute=per_minute)
    click.echo(three_lines(url, made, secret))


@integrations.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_database
def list_integrations(as_json: bool, database: str | None) -> None:
    """List integrations, oldest first."""
    from supervisor_guards.service.items import integration_item

    with _integrations(database) as known:
        found = [integration_item(one) for one in known.list()]
    if as_json:
        for one in found:
            output.print_json(one, indent=None)
        return
    rows = [
        (
            one["name"],
            one["id"],
            ", ".join(one["scopes"]),
            one["created_at"][:16],
            "active" if one["active"] else f"revoked {one['revoked_at'][:16]}",
        )
        for one in found
    ]
    output.print_table(("name", "id", "scopes", "created (UTC)", "state"), rows)


@integrations.command()
@click.argument("integration")
@_url
@_database
def rotate(integration: str, url: str, database: str | None) -> None:
    """Give INTEGRATION (its name or id) a new secret, shown this once. The former one stays good for a while."""
    with _integrations(database) as known:
        changed, secret = known.rotate(known.named(integration).id, BY)
    click.echo(three_lines(url, changed, secret))


@integrations.command()
@click.argument("integration")
@_database
def revoke(integration: str, database: str | None) -> None:
    """End INTEGRATION (its name or id): every process refuses it within a second."""
    with _integrations(database) as known:
        ended = known.revoke(known.named(integration).id, BY)
    click.echo(f"{output.safe(ended.name)} is revoked")


@contextmanager
def _integrations(database: str | None) -> Iterator[Integrations]:
    """The integrations of the service's database, which is closed afterwards."""
    set_environment(database=database)
    service = opened()
    try:
        yield service.integrations
    except (LookupError, ValueError) as error:
        output.fail(str(error.args[0]))
    finally:
        service.close()
