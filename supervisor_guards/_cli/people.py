"""`supervisor-guards people`: who may look, review and administer, from the shell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from supervisor_guards._cli import output
from supervisor_guards._cli.service import BY, opened, set_environment

if TYPE_CHECKING:
    from supervisor_guards.service.core import Service

_ROLES = ("viewer", "reviewer", "administrator")
_database = click.option("--database", metavar="URL", help="The service's database; else SQLite in .supervisor.")
_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input, one line.")
_role = click.Choice(_ROLES)


@click.group()
def people() -> None:
    """Who may look, review and administer at the service."""


@people.command()
@click.argument("name")
@click.option("--role", type=_role, default="viewer", show_default=True, help="Each may do what those before it may.")
@click.option("--known-as", multiple=True, metavar="NAME", help="Their name in an application; may be repeated.")
@click.option("--no-password", is_flag=True, help="They come through a trusted proxy, or by token.")
@_stdin
@_database
def create(
    name: str, role: str, known_as: tuple[str, ...], no_password: bool, password_stdin: bool, database: str | None
) -> None:
    """Make an account. The password is asked for, never an argument: those can be read by others."""
    if no_password and password_stdin:
        raise click.UsageError("--no-password and --password-stdin exclude each other")
    given = None if no_password else _password(password_stdin)
    with _service(database) as service:
        stored = None if given is None else service.passwords.hash(given)
        made = service.people.create(name, role, BY, password=stored, known_as=known_as)
    click.echo(f"{output.safe(made.name)} has the role {made.role}")


@people.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_database
def list_people(as_json: bool, database: str | None) -> None:
    """List people, oldest first."""
    with _service(database) as service:
        from supervisor_guards.service.items import person_item

        found = [person_item(one) for one in service.people.list()]
    if as_json:
        for one in found:
            output.print_json(one, indent=None)
        return
    rows = [
        (
            one["name"],
            one["role"],
            ", ".join(one["known_as"]),
            "yes" if one["has_password"] else "no",
            one["created_at"][:16],
            "active" if one["active"] else f"disabled {one['disabled_at'][:16]}",
        )
        for one in found
    ]
    output.print_table(("name", "role", "known as", "password", "created (UTC)", "state"), rows)


@people.command()
@click.argument("person")
@_database
def disable(person: str, database: str | None) -> None:
    """Shut PERSON (a name or id) out: their sessions end at once, their tokens are revoked."""
    with _service(database) as service:
        changed = service.people.disable(service.people.named(person).id, BY)
    click.echo(f"{output.safe(changed.name)} is disabled")


@people.command()
@click.argument("person")
@_database
def enable(person: str, database: str | None) -> None:
    """Let PERSON (a name or id) in again."""
    with _service(database) as service:
        changed = service.people.enable(service.people.named(person).id, BY)
    click.echo(f"{output.safe(changed.name)} has the role {changed.role}")


@people.command()
@click.argument("person")
@click.argument("role", type=_role)
@_database
def role(person: str, role: str, database: str | None) -> None:
    """Give PERSON (a name or id) another ROLE."""
    with _service(database) as service:
        changed = service.people.change(service.people.named(person).id, BY, role=role)
    click.echo(f"{output.safe(changed.name)} has the role {changed.role}")


@people.command()
@click.argument("person")
@_stdin
@_database
def password(person: str, password_stdin: bool, database: str | None) -> None:
    """Give PERSON (a name or id) another password; all their sessions end."""
    given = _password(password_stdin)
    with _service(database) as service:
        known = service.people.named(person)
        service.people.set_password(known.id, service.passwords.hash(given), BY)
    click.echo(f"{output.safe(known.name)} has another password")


@people.command()
@click.argument("person")
@click.option("--label", required=True, help="What it is for.")
@click.option("--days", type=float, help="How long it is good; without it, until it is revoked.")
@_database
def token(person: str, label: str, days: float | None, database: str | None) -> None:
    """Make a token with which a program acts for PERSON, and print what the program needs. It is shown this once."""
    with _service(database) as service:
        _, made = service.tokens.create(service.people.named(person).id, label, BY, days)
    click.echo(f"SUPERVISOR_REVIEWER_TOKEN={made}")


def _password(from_stdin: bool) -> str:
    """The password, typed twice without being shown, or the first line of standard input."""
    if not from_stdin:
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    line = sys.stdin.readline()
    if not line:
        output.fail("standard input has no password: write it there, in one line")
    return line.rstrip("\r\n")


@contextmanager
def _service(database: str | None) -> Iterator[Service]:
    """The service of the settings, which is closed afterwards; what it refuses is one line."""
    set_environment(database=database)
    service = opened()
    try:
        yield service
    except (LookupError, ValueError) as error:
        output.fail(str(error.args[0]))
    finally:
        service.close()
